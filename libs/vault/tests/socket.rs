//! The vault over real sockets.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdfast_vault::{Vault, VaultClient, VaultServer, limits};

struct Fixture {
    _directory: tempfile::TempDir,
    path: PathBuf,
    vault: Arc<Mutex<Vault>>,
    server: Option<VaultServer>,
}

impl Fixture {
    fn new(below: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let parent = directory.path().join(below);
        std::fs::create_dir_all(&parent).unwrap();
        let path = parent.join("vault.sock");
        let vault = Arc::new(Mutex::new(Vault::new(1)));
        let server = Some(VaultServer::start(&path, vault.clone()).unwrap());
        Fixture { _directory: directory, path, vault, server }
    }

    fn client(&self, epoch: u64) -> VaultClient {
        let mut client = VaultClient::connect(&self.path, "re0/rpd").unwrap();
        client.set_epoch(epoch);
        client
    }
}

#[test]
fn a_session_survives_its_owner_and_is_never_shut_down() {
    let fixture = Fixture::new("");
    let (ours, mut neighbour) = UnixStream::pair().unwrap();
    let mut first = fixture.client(1);
    first.deposit("bgp/10.0.0.2", "session", b"parameters", ours.as_fd()).unwrap();
    drop((first, ours));

    neighbour.write_all(b"while nobody owned it").unwrap();
    let mut successor = fixture.client(1);
    let (descriptor, metadata) = successor.withdraw("bgp/10.0.0.2").unwrap();
    assert_eq!(metadata, b"parameters");
    let mut session = UnixStream::from(descriptor);
    let mut heard = [0; 21];
    session.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"while nobody owned it");

    drop(session);
    successor.remove("bgp/10.0.0.2").unwrap();
    assert_eq!(neighbour.read(&mut heard).unwrap(), 0, "closed when the last duplicate went");
}

#[test]
fn only_the_current_epoch_is_served() {
    let fixture = Fixture::new("");
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let mut old = fixture.client(1);
    old.deposit("a", "session", b"", null.as_fd()).unwrap();
    fixture.vault.lock().unwrap().raise_epoch(2);
    for error in [
        old.deposit("a", "session", b"", null.as_fd()).unwrap_err(),
        old.remove("a").unwrap_err(),
        old.withdraw("a").unwrap_err(),
        old.list("").unwrap_err(),
    ] {
        assert!(error.to_string().contains("epoch 1 is over, the vault is in epoch 2"), "{error}");
    }
    old.set_epoch(3);
    assert!(old.remove("a").unwrap_err().to_string().contains("epoch 3 has not begun"));
    old.set_epoch(2);
    old.remove("a").unwrap();
    assert!(old.withdraw("a").unwrap_err().to_string().contains("holds nothing named 'a'"));
}

#[test]
fn lists_go_page_by_page_and_many_are_withdrawn() {
    let fixture = Fixture::new("");
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let mut client = fixture.client(1);
    let count = limits::PAGE_ENTRIES_MAX * 2 + 3;
    for index in 0..count {
        client.deposit(&format!("bgp/{index:04}"), "session", b"m", null.as_fd()).unwrap();
    }
    client.deposit("bgp/listen", "listener", b"", null.as_fd()).unwrap();
    let names: Vec<String> = client.list("bgp/").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), count + 1);
    assert!(names.is_sorted());
    let withdrawn = client.withdraw_many("bgp/", "session").unwrap();
    assert_eq!(withdrawn.len(), count);
    assert!(withdrawn.iter().all(|(_, _, metadata)| metadata == b"m"));
}

#[test]
fn the_vault_is_bounded() {
    let limit = 200;
    let mut vault = Vault::with_limit(1, limit);
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let entry = || holdfast_vault::Entry {
        descriptor: null.try_clone().unwrap(),
        kind: "session".into(),
        metadata: Vec::new(),
        epoch: 1,
        deposited_unix_ms: 0,
    };
    for index in 0..limit {
        vault.deposit(index.to_string(), entry()).unwrap();
    }
    assert!(
        vault.deposit("one more".into(), entry()).unwrap_err().to_string().contains("the vault is full (200 entries)")
    );
    vault.deposit("7".into(), entry()).expect("replacing is always possible");
    assert_eq!(vault.len(), limit);
}

#[test]
fn malformed_packets_are_answered_and_harm_nobody() {
    use holdfast_kernel::descriptor::{recv_with_fds, send_with_fds};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd;
    let fixture = Fixture::new("");
    let raw = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(raw.as_raw_fd(), &UnixAddr::new(&fixture.path).unwrap()).unwrap();
    let (probe, probe_end) = UnixStream::pair().unwrap();
    let mut buffer = vec![0; limits::PACKET_MAX_LEN];
    let long = vec![0xff; limits::PACKET_MAX_LEN + 1];
    let long = long.as_slice();
    for (packet, descriptors) in [(&b"\xff\xff\xff"[..], 0), (&b"\x08\x01"[..], 1), (long, 1), (&b"\x08\x01"[..], 3)] {
        send_with_fds(raw.as_fd(), packet, &vec![probe.as_fd(); descriptors]).unwrap();
        let (length, descriptors) = recv_with_fds(raw.as_fd(), &mut buffer, 1).unwrap();
        assert!(length > 0 && descriptors.is_empty());
    }
    // A deposit without its descriptor.
    let mut random: u64 = 7;
    for _ in 0..2000 {
        let packet: Vec<u8> = (0..random % 40 + 1)
            .map(|_| {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (random >> 33) as u8
            })
            .collect();
        send_with_fds(raw.as_fd(), &packet, &[]).unwrap();
        assert!(recv_with_fds(raw.as_fd(), &mut buffer, 1).unwrap().0 > 0);
    }
    drop(probe);
    probe_end.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!((&probe_end).read(&mut [0]).unwrap(), 0, "a descriptor leaked");
    assert!(fixture.client(1).list("").unwrap().is_empty());
}

#[test]
fn a_long_path_and_a_new_server_are_no_obstacle() {
    let mut fixture = Fixture::new(&"d".repeat(150));
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let mut client = fixture.client(1);
    client.deposit("a", "session", b"", null.as_fd()).unwrap();
    drop(fixture.server.take());
    assert!(client.list("").is_err(), "nobody serves");
    fixture.server = Some(VaultServer::start(&fixture.path, fixture.vault.clone()).unwrap());
    assert_eq!(client.list("").unwrap().len(), 1);
}

#[test]
fn a_call_is_quick() {
    let fixture = Fixture::new("");
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let mut client = fixture.client(1);
    let started = Instant::now();
    for _ in 0..500 {
        client.deposit("a", "session", b"parameters", null.as_fd()).unwrap();
    }
    let each = started.elapsed() / 500;
    println!("one deposit: {each:?}");
    assert!(each < Duration::from_millis(20), "{each:?}");
}
