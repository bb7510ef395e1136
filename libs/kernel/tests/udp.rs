//! Datagrams between two namespaces' ends of a veth, a real-time thread and its clock, against the kernel itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use holdfast_kernel::{KernelError, process, realtime, udp};

fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let run = move || {
        process::unshare_network().unwrap();
        let status = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(status.success());
        test();
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn received(listener: &impl AsFd) -> (Vec<u8>, udp::Received) {
    let mut buffer = [0; 64];
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match udp::receive(listener.as_fd(), &mut buffer).unwrap() {
            Some(received) => return (buffer[..received.length].to_vec(), received),
            None => assert!(Instant::now() < deadline, "nothing came"),
        }
    }
}

#[test]
fn a_datagram_comes_with_its_ttl_its_interface_and_its_sender() {
    in_namespace(|| {
        let families: [(IpAddr, IpAddr); 2] = [
            (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
            (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        ];
        for (any, local) in families {
            let listener = udp::listen(any, 3784, 0xc0).unwrap();
            assert!(udp::receive(listener.as_fd(), &mut [0; 8]).unwrap().is_none());
            let sender = udp::sender(local, 0, 49152, 0xc0).unwrap();
            udp::send_to(sender.as_fd(), b"hello", SocketAddr::new(local, 3784), 0).unwrap();
            let (octets, told) = received(&listener);
            assert_eq!(octets, b"hello");
            assert_eq!((told.source, told.interface, told.ttl), (SocketAddr::new(local, 49152), 1, Some(255)));
            let plain = std::net::UdpSocket::bind((local, 0)).unwrap();
            plain.send_to(b"near", (local, 3784)).unwrap();
            assert_eq!(received(&listener).1.ttl, Some(64));
            let second = udp::listen(any, 3784, 0xc0).unwrap_err();
            assert!(matches!(second, KernelError::DatagramPortInUse { .. }), "{second}");
            assert!(udp::sender(local, 0, 49152, 0xc0).is_err(), "a source port is one session's");
        }
    });
}

#[test]
fn a_link_local_address_is_sent_from_on_its_link() {
    in_namespace(|| {
        let run = "ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; \
                   ip addr add fe80::7/64 dev v0 nodad; ip addr add fe80::8/64 dev v1 nodad";
        let output = std::process::Command::new("sh").args(["-c", run]).output().unwrap();
        let (own, other): (Ipv6Addr, Ipv6Addr) = ("fe80::7".parse().unwrap(), "fe80::8".parse().unwrap());
        assert!(output.status.success(), "{output:?}");
        let link = nix::net::if_::if_nametoindex("v0").unwrap();
        let listener = udp::listen(Ipv6Addr::UNSPECIFIED.into(), 3784, 0xc0).unwrap();
        assert!(udp::sender(own.into(), 0, 49152, 0xc0).is_err(), "of which link?");
        let sender = udp::sender(own.into(), link, 49152, 0xc0).unwrap();
        udp::send_to(sender.as_fd(), b"hello", SocketAddr::new(other.into(), 3784), link).unwrap();
        let (octets, told) = received(&listener);
        assert_eq!((octets.as_slice(), told.source.ip(), told.ttl), (&b"hello"[..], own.into(), Some(255)));
    });
}

#[test]
fn a_sender_that_nobody_hears_is_told_nothing() {
    in_namespace(|| {
        let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 3784);
        let sender = udp::sender(Ipv4Addr::UNSPECIFIED.into(), 0, 50000, 0xc0).unwrap();
        for _ in 0..3 {
            udp::send_to(sender.as_fd(), b"hello", to, 0).unwrap();
        }
        let nowhere = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 3784);
        assert!(udp::send_to(sender.as_fd(), b"hello", nowhere, 0).is_err());
    });
}

#[test]
fn a_timer_wakes_at_its_time_and_can_be_taken_back() {
    let timer = realtime::Timer::new().unwrap();
    let readable = |wait: Duration| {
        let mut fds = [nix::poll::PollFd::new(timer.as_fd(), nix::poll::PollFlags::POLLIN)];
        let wait = nix::poll::PollTimeout::try_from(wait).unwrap();
        nix::poll::poll(&mut fds, wait).unwrap() == 1
    };
    let now = || {
        let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
        Duration::new(time.tv_sec() as u64, time.tv_nsec() as u32)
    };
    assert!(!readable(Duration::ZERO));
    let at = now() + Duration::from_millis(5);
    timer.set(Some(at)).unwrap();
    assert!(readable(Duration::from_secs(5)) && now() >= at);
    timer.set(None).unwrap();
    assert!(!readable(Duration::from_millis(2)));
    timer.set(Some(Duration::ZERO)).unwrap();
    assert!(readable(Duration::from_secs(5)), "a time that has passed");
}

#[test]
fn a_thread_can_have_processors_of_its_own() {
    let all = realtime::processors().unwrap();
    assert!(!all.is_empty() && all.is_sorted());
    let chosen = all[all.len() - 1];
    let had = std::thread::spawn(move || realtime::run_on(&[chosen]).and_then(|()| realtime::processors())).join();
    assert_eq!(had.unwrap().unwrap(), [chosen]);
    assert_eq!(realtime::processors().unwrap(), all, "that of one thread alone");
    assert!(realtime::run_on(&[]).is_err() && realtime::run_on(&[usize::MAX]).is_err());
}

#[test]
fn a_thread_can_run_first_and_memory_can_be_locked() {
    let first = std::thread::spawn(|| realtime::run_first(50)).join().unwrap();
    let locked = realtime::lock_memory();
    // Without the capabilities it is refused, not pretended.
    for result in [first, locked] {
        if let Err(error) = result {
            assert!(matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOMEM | libc::EAGAIN)), "{error}");
        }
    }
    assert!(realtime::run_first(100).is_err(), "there is no such priority");
}
