//! TCP on loopback in a namespace of its own: counters that say where a process stood, options, keys.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use holdfast_kernel::{KernelError, process, tcp};

fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let run = move || {
        process::unshare_network().unwrap();
        loopback_up();
        test();
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn loopback_up() {
    let status = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(status.success());
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn session_on(
    address: IpAddr,
    configure: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<()>,
    key: Option<&[u8]>,
) -> (OwnedFd, OwnedFd) {
    let listener = tcp::listen(SocketAddr::new(address, 0), 8).unwrap();
    if let Some(key) = key {
        tcp::set_md5_key(listener.as_fd(), address, key).unwrap();
    }
    let at = tcp::local_address(listener.as_fd()).unwrap();
    let active = tcp::connect(at, Some(address), configure).unwrap();
    let mut passive = None;
    until("a connection to accept", || match tcp::accept(listener.as_fd()) {
        Ok(accepted) => {
            passive = Some(accepted);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            false
        }
    });
    let (passive, peer) = passive.unwrap();
    until("established", || tcp::tcp_counters(active.as_fd()).unwrap().state == tcp::TcpState::Established);
    assert_eq!(peer, tcp::local_address(active.as_fd()).unwrap());
    assert!(tcp::take_error(active.as_fd()).unwrap().is_none());
    (active, passive)
}

fn session() -> (OwnedFd, OwnedFd) {
    session_on(Ipv4Addr::LOCALHOST.into(), |_| Ok(()), None)
}

fn position(fd: &OwnedFd) -> (u64, u64) {
    let counters = tcp::tcp_counters(fd.as_fd()).unwrap();
    (counters.consumed(), counters.written())
}

#[test]
fn the_side_that_sent_the_syn_starts_at_one_written() {
    in_namespace(|| {
        let (active, passive) = session();
        assert_eq!(position(&active), (0, 1));
        until("the handshake's last ACK", || position(&passive) == (0, 0));
    });
}

#[test]
fn peeking_consumes_nothing_and_discarding_consumes_exactly() {
    in_namespace(|| {
        let (active, passive) = session();
        assert_eq!(tcp::peek(passive.as_fd(), &mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(tcp::discard(passive.as_fd(), 8).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(tcp::send_nowait(active.as_fd(), b"0123456789").unwrap(), 10);
        until("ten bytes", || tcp::tcp_counters(passive.as_fd()).unwrap().receive_queue == 10);
        let mut buffer = [0; 64];
        assert_eq!(tcp::peek(passive.as_fd(), &mut buffer).unwrap(), 10);
        assert_eq!(position(&passive), (0, 0));
        assert_eq!(tcp::discard(passive.as_fd(), 4).unwrap(), 4);
        assert_eq!(position(&passive), (4, 0));
        assert_eq!(tcp::peek(passive.as_fd(), &mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"456789");
        assert_eq!(tcp::discard(passive.as_fd(), 100).unwrap(), 6, "less than asked: the queue held less");
        assert_eq!(position(&passive), (10, 0));
        until("all acknowledged", || tcp::tcp_counters(active.as_fd()).unwrap().send_queue == 0);
        assert_eq!(position(&active), (0, 11));
    });
}

#[test]
fn counters_are_exact_with_full_queues_on_both_sides() {
    in_namespace(|| {
        for active_writes in [true, false] {
            let (active, passive) = session();
            let (writer, reader, base) = if active_writes { (&active, &passive, 1) } else { (&passive, &active, 0) };
            let block = vec![0x5a; 100_000];
            let mut written = 0u64;
            // Fills both queues; what does not fit any more for 50 ms in a row will not fit at all.
            let mut last = Instant::now();
            while last.elapsed() < Duration::from_millis(50) {
                match tcp::send_nowait(writer.as_fd(), &block) {
                    Ok(n) => {
                        written += n as u64;
                        last = Instant::now();
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                assert_eq!(position(writer).1, written + base, "with data under way");
            }
            let counters = tcp::tcp_counters(writer.as_fd()).unwrap();
            assert!(counters.send_queue > 0 && written > 200_000, "{counters:?}");
            let mut consumed = 0u64;
            while consumed < written {
                match tcp::discard(reader.as_fd(), 33_333) {
                    Ok(n) => consumed += n as u64,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                assert_eq!(position(reader).0, consumed);
                assert_eq!(position(writer).1, written + base);
            }
        }
    });
}

#[test]
fn the_fin_is_no_byte_of_the_stream() {
    in_namespace(|| {
        for read_before in [true, false] {
            let (active, passive) = session();
            tcp::send_nowait(active.as_fd(), b"last words").unwrap();
            until("data", || tcp::tcp_counters(passive.as_fd()).unwrap().receive_queue == 10);
            if read_before {
                assert_eq!(tcp::discard(passive.as_fd(), 10).unwrap(), 10);
            }
            drop(active);
            until("FIN", || tcp::tcp_counters(passive.as_fd()).unwrap().state == tcp::TcpState::CloseWait);
            assert_eq!(position(&passive).0, if read_before { 10 } else { 0 });
            if !read_before {
                assert_eq!(tcp::discard(passive.as_fd(), 4).unwrap(), 4);
                assert_eq!(position(&passive).0, 4);
                assert_eq!(tcp::discard(passive.as_fd(), 4000).unwrap(), 6);
            }
            assert_eq!(position(&passive).0, 10);
            assert_eq!(tcp::peek(passive.as_fd(), &mut [0; 8]).unwrap(), 0, "the end");
            assert_eq!(tcp::recv_nowait(passive.as_fd(), &mut [0; 8]).unwrap(), 0);
            assert_eq!(position(&passive).0, 10, "also once the end itself has been read");
        }
    });
}

#[test]
fn counters_survive_the_change_of_hands() {
    in_namespace(|| {
        let (active, passive) = session();
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        tcp::send_nowait(active.as_fd(), b"0123456789").unwrap();
        until("data", || tcp::tcp_counters(passive.as_fd()).unwrap().receive_queue == 10);
        tcp::discard(passive.as_fd(), 3).unwrap();
        holdfast_kernel::descriptor::send_with_fds(a.as_fd(), b"x", &[passive.as_fd()]).unwrap();
        drop(passive);
        let (_, mut fds) = holdfast_kernel::descriptor::recv_with_fds(b.as_fd(), &mut [0; 8], 1).unwrap();
        assert_eq!(position(&fds.remove(0)), (3, 0));
    });
}

#[test]
fn sockets_carry_their_options() {
    in_namespace(|| {
        let address: IpAddr = "::1".parse().unwrap();
        let configure = |fd: BorrowedFd<'_>| {
            tcp::set_ttl(fd, 255)?;
            tcp::set_minimum_ttl(fd, 1)?;
            tcp::set_traffic_class(fd, tcp::TOS_NETWORK_CONTROL)?;
            tcp::set_nodelay(fd, true)?;
            tcp::set_user_timeout(fd, Duration::from_secs(9))?;
            tcp::set_interface(fd, 1)
        };
        let (active, _passive) = session_on(address, configure, None);
        let socket = socket2::SockRef::from(&active);
        assert_eq!((socket.unicast_hops_v6().unwrap(), socket.tclass_v6().unwrap()), (255, 0xc0));
        assert!(socket.tcp_nodelay().unwrap());
        let v4 = tcp::connect("127.0.0.1:9".parse().unwrap(), None, |fd| {
            tcp::set_ttl(fd, 1)?;
            tcp::set_minimum_ttl(fd, 64)?; // the RST comes with 64
            tcp::set_traffic_class(fd, 0xc0)
        });
        let v4 = v4.unwrap();
        assert_eq!(socket2::SockRef::from(&v4).ttl_v4().unwrap(), 1);
        until("refusal", || {
            tcp::take_error(v4.as_fd()).unwrap().is_some_and(|e| e.kind() == ErrorKind::ConnectionRefused)
        });
    });
}

#[test]
fn a_port_in_use_is_named_and_families_stand_side_by_side() {
    in_namespace(|| {
        let first = tcp::listen("0.0.0.0:179".parse().unwrap(), 8).unwrap();
        let _second = tcp::listen("[::]:179".parse().unwrap(), 8).unwrap();
        let error = tcp::listen("0.0.0.0:179".parse().unwrap(), 8).unwrap_err();
        assert!(matches!(error, KernelError::AddressInUse { .. }), "{error}");
        assert!(error.to_string().contains("0.0.0.0:179"));
        assert_eq!(tcp::accept(first.as_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);
        let error = tcp::listen("192.0.2.1:179".parse().unwrap(), 8).unwrap_err();
        assert!(matches!(error, KernelError::Listen { .. }), "{error}");
    });
}

#[test]
fn md5_keys_must_agree() {
    in_namespace(|| {
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            match tcp::listen(SocketAddr::new(address, 0), 1).map(|l| tcp::set_md5_key(l.as_fd(), address, b"k")) {
                Ok(Err(error)) if error.kind() == ErrorKind::Unsupported => {
                    eprintln!("this kernel has no CONFIG_TCP_MD5SIG: not tested");
                    return;
                }
                other => other.unwrap().unwrap(),
            }
            let (active, _passive) =
                session_on(address, move |fd| tcp::set_md5_key(fd, address, b"secret"), Some(b"secret"));
            drop(active);
            assert!(tcp::set_md5_key(_passive.as_fd(), address, &[0; 81]).is_err());
            // With another key the SYN is dropped unseen: nothing to accept, nothing established.
            let listener = tcp::listen(SocketAddr::new(address, 0), 1).unwrap();
            tcp::set_md5_key(listener.as_fd(), address, b"one").unwrap();
            let at = tcp::local_address(listener.as_fd()).unwrap();
            let other = tcp::connect(at, None, |fd| tcp::set_md5_key(fd, address, b"two")).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(tcp::tcp_counters(other.as_fd()).unwrap().state, tcp::TcpState::SynSent);
            assert_eq!(tcp::accept(listener.as_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}

/// A key is changed on one side, then on the other: what was written in between arrives, on the same connection.
#[test]
fn md5_keys_of_a_connection_are_changed_one_side_after_the_other() {
    in_namespace(|| {
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let (active, passive) = session_on(address, move |fd| tcp::set_md5_key(fd, address, b"old"), Some(b"old"));
            for (step, key) in [b"new".as_slice(), b"", b"once more"].into_iter().enumerate() {
                tcp::set_md5_key(active.as_fd(), address, key).unwrap();
                tcp::send_nowait(active.as_fd(), b"0123").unwrap();
                std::thread::sleep(Duration::from_millis(20));
                let waiting = tcp::tcp_counters(passive.as_fd()).unwrap().receive_queue;
                assert_eq!(waiting, 0, "step {step}: it is signed with a key that the other side does not have");
                tcp::set_md5_key(passive.as_fd(), address, key).unwrap();
                until("four bytes", || tcp::tcp_counters(passive.as_fd()).unwrap().receive_queue == 4);
                tcp::discard(passive.as_fd(), 4).unwrap();
            }
        }
    });
}

#[test]
fn a_key_of_a_prefix_is_for_all_of_it_and_removing_what_is_not_there_is_no_error() {
    in_namespace(|| {
        let address: IpAddr = Ipv4Addr::LOCALHOST.into();
        let listener = tcp::listen(SocketAddr::new(address, 0), 8).unwrap();
        if tcp::set_md5_key(listener.as_fd(), address, b"").is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
            return;
        }
        let network: IpAddr = Ipv4Addr::new(127, 0, 0, 0).into();
        tcp::set_md5_prefix_key(listener.as_fd(), network, 8, b"").unwrap();
        tcp::set_md5_prefix_key(listener.as_fd(), network, 8, b"shared").unwrap();
        let at = tcp::local_address(listener.as_fd()).unwrap();
        let _active = tcp::connect(at, None, |fd| tcp::set_md5_key(fd, address, b"shared")).unwrap();
        until("a connection of a member", || tcp::accept(listener.as_fd()).is_ok());
    });
}

#[test]
fn a_listening_socket_tells_how_far_a_syn_has_come() {
    in_namespace(|| {
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let (active, passive) = session_on(address, |fd| tcp::set_ttl(fd, 200), None);
            assert_eq!(tcp::syn_ttl(passive.as_fd()), Some(200));
            assert_eq!(tcp::syn_ttl(passive.as_fd()), None, "it is told once");
            assert_eq!(tcp::syn_ttl(active.as_fd()), None);
            // RFC 5082: what comes from farther away is not heard; nearer it is.
            tcp::set_minimum_ttl(passive.as_fd(), 255).unwrap();
            tcp::send_nowait(active.as_fd(), b"far").unwrap();
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(tcp::tcp_counters(passive.as_fd()).unwrap().receive_queue, 0);
            tcp::set_ttl(active.as_fd(), 255).unwrap();
            until("three bytes", || tcp::tcp_counters(passive.as_fd()).unwrap().receive_queue == 3);
        }
    });
}

/// A reader that consumes whole messages only: what waits in the kernel meanwhile must not close the window for ever.
#[test]
fn a_message_cut_by_a_full_queue_is_completed() {
    const MESSAGE_LEN: usize = 4001;
    const TOTAL: usize = 1000 * MESSAGE_LEN;
    in_namespace(|| {
        for (reader, writer) in [session(), {
            let (a, b) = session();
            (b, a)
        }] {
            tcp::set_nodelay(writer.as_fd(), true).unwrap();
            let (mut written, mut read) = (0, 0);
            let data = [7; 65536];
            let mut buffer = vec![0; 65536];
            let mut write_some = |step: usize| {
                let mut burst = 0;
                while written < TOTAL && burst < 16 << 20 {
                    match tcp::send_nowait(writer.as_fd(), &data[..step.min(TOTAL - written)]) {
                        Ok(taken) => {
                            written += taken;
                            burst += taken;
                        }
                        Err(_) => break,
                    }
                }
            };
            until("every message", || {
                // Small segments that wait are merged by the kernel.
                write_some(1448);
                if let Ok(length) = tcp::peek(reader.as_fd(), &mut buffer) {
                    let whole = length / MESSAGE_LEN * MESSAGE_LEN;
                    if whole > 0 {
                        read += tcp::discard(reader.as_fd(), whole).unwrap();
                    }
                }
                read == TOTAL
            });
        }
    });
}
