//! Sessions between two ppmds, against the kernel: through hand-overs, kills, and the disappearance of whoever asked for them.

mod common;

use std::time::Duration;

use common::{Router, all_up, pair, wanted};
use holdfast_kernel::realtime;
use holdfast_proto::v1;
use holdfast_proto::v1::bfd_event::Event;
use tokio::sync::RwLock;

const BOTH: [[&str; 2]; 2] = [["10.0.0.2", "2001:db8::2"], ["10.0.0.1", "2001:db8::1"]];

/// Written to by who holds processors: the others' processes are ordinary ones, and would be late.
static MACHINE: RwLock<()> = RwLock::const_new(());

async fn up(ms: u32) -> [Router; 2] {
    let routers = pair();
    for (router, peers) in routers.iter().zip(BOTH) {
        router.set(1, peers.map(|peer| wanted(peer, ms)).to_vec()).await.unwrap();
    }
    for router in &routers {
        let sessions = router.until("both sessions up", |sessions| all_up(sessions) && sessions.len() == 2).await;
        assert!(sessions.iter().all(|session| session.downs == 0), "{sessions:?}");
    }
    routers
}

async fn assert_nothing_was_lost(routers: &[Router], what: &str) {
    for router in routers {
        for session in router.sessions().await {
            assert_eq!((session.state.as_str(), session.downs, session.ups), ("Up", 0, 1), "{what}: {session:#?}");
        }
    }
}

/// Nobody else runs on these processors for so long, as if the kernel held them.
fn hold(processors: &[usize], time: Duration) {
    std::thread::scope(|scope| {
        for processor in processors {
            scope.spawn(move || {
                realtime::run_on(&[*processor]).unwrap();
                realtime::run_first(90).unwrap();
                let began = std::time::Instant::now();
                while began.elapsed() < time {
                    std::hint::spin_loop();
                }
            });
        }
    });
}

#[tokio::test]
async fn a_held_processor_keeps_nothing_from_being_sent() {
    let _machine = MACHINE.write().await;
    let processors = realtime::processors().unwrap();
    let Some((_, others)) = processors.split_last().filter(|(_, others)| !others.is_empty()) else { return };
    let routers = up(50).await;
    // Longer than the detection time; after it, whoever served before serves again.
    for _ in 0..2 {
        hold(others, Duration::from_millis(400));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_nothing_was_lost(&routers, "held").await;
    for router in &routers {
        let status = router.status().await;
        assert!(status.realtime && status.lateness_max_us < 100_000 && status.stood_in > 10, "{status:?}");
    }
    // And with the other one held.
    let before = routers[0].status().await.stood_in;
    hold(&processors[processors.len() - 1..], Duration::from_millis(400));
    assert_nothing_was_lost(&routers, "the deputy's was held").await;
    assert!(routers[0].status().await.stood_in <= before + 2);
}

#[tokio::test]
async fn packets_are_served_without_asking_for_memory() {
    let _machine = MACHINE.read().await;
    let mut routers = up(50).await;
    for _ in 0..2 {
        let before = routers[0].status().await;
        assert!(before.memory_locked && before.allocations < 1_000, "{before:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = routers[0].status().await;
        let served = after.sent + after.received - before.sent - before.received;
        assert!(served > 100, "{before:?} {after:?}");
        assert_eq!(after.allocations, before.allocations, "{served} packets");
        routers[0].replace().await;
    }
    assert_nothing_was_lost(&routers, "counted").await;
    // It does count: a change of state is told to whoever watches.
    let before = routers[0].status().await.allocations;
    routers[1].namespace.sh("ip link set v0 down".into());
    routers[0].until("both are lost", |sessions| sessions.iter().all(|session| session.state == "Down")).await;
    assert!(routers[0].status().await.allocations > before);
}

#[tokio::test]
async fn a_successor_takes_over_from_one_packet_to_the_next() {
    let _machine = MACHINE.read().await;
    let mut routers = up(10).await;
    for turn in 0..4 {
        let before: Vec<u32> = routers[turn % 2].sessions().await.iter().map(|s| s.local_discriminator).collect();
        routers[turn % 2].replace().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_nothing_was_lost(&routers, "handed over").await;
        let sessions = routers[turn % 2].sessions().await;
        assert_eq!(sessions.iter().map(|s| s.local_discriminator).collect::<Vec<_>>(), before);
        let status = routers[turn % 2].status().await;
        assert_eq!(status.origin, "took over");
        assert!(status.takeover_us < 20_000, "{status:?}");
    }
}

#[tokio::test]
async fn a_killed_one_is_succeeded_within_a_detection_time() {
    let _machine = MACHINE.read().await;
    let mut routers = up(50).await;
    for turn in 0..4 {
        routers[turn % 2].crash();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_nothing_was_lost(&routers, "killed").await;
        assert_eq!(routers[turn % 2].status().await.origin, "found");
    }
}

#[tokio::test]
async fn a_successor_that_dies_in_between_leaves_the_predecessor_in_charge() {
    let _machine = MACHINE.read().await;
    let routers = up(50).await;
    let serving = routers[0].status().await.pid;
    // One that asks for the sockets and goes away before its last word.
    let socket = routers[0].handover_socket();
    let stopped = std::os::unix::net::UnixStream::connect(socket).unwrap();
    std::io::Write::write_all(&mut &stopped, b"s").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    drop(stopped);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_nothing_was_lost(&routers, "nobody took over").await;
    assert_eq!(routers[0].status().await.pid, serving);
}

#[tokio::test]
async fn sessions_belong_to_the_router_and_not_to_whoever_asked_for_them() {
    let _machine = MACHINE.read().await;
    let routers = up(50).await;
    // The one who asked in term 1 is gone; another asks for the same in term 2.
    let again = || BOTH[0].map(|peer| wanted(peer, 50)).to_vec();
    routers[0].set(2, again()).await.unwrap();
    let refused = routers[0].set(1, Vec::new()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    assert_nothing_was_lost(&routers, "asked for again").await;
    // Other intervals are no reason to leave Up.
    routers[0].set(2, BOTH[0].map(|peer| wanted(peer, 200)).to_vec()).await.unwrap();
    let slower = |sessions: &[v1::BfdSession]| sessions.iter().all(|session| session.transmit_interval_us == 200_000);
    routers[0].until("slower", slower).await;
    routers[0].set(2, again()).await.unwrap();
    routers[0].until("faster", |sessions| sessions.iter().all(|s| s.detection_time_us == 150_000)).await;
    assert_nothing_was_lost(&routers, "other intervals").await;
    // What nobody wants any more says farewell; the other end does not take it for a failure.
    routers[0].set(2, vec![wanted("10.0.0.2", 50)]).await.unwrap();
    routers[0].until("one left", |sessions| sessions.len() == 1).await;
    let sessions = routers[1].sessions().await;
    let told = sessions.iter().find(|session| session.key.as_ref().unwrap().peer == "2001:db8::1").unwrap();
    assert_eq!((told.state.as_str(), told.remote_state.as_str(), told.failed_since_mono_ns), ("Down", "AdminDown", 0));
}

#[tokio::test]
async fn a_neighbor_that_falls_silent_is_told_to_whoever_watches() {
    let _machine = MACHINE.read().await;
    let routers = up(50).await;
    let mut events = routers[0].watch().await;
    let mut seen = 0;
    loop {
        match events.message().await.unwrap().unwrap().event.unwrap() {
            Event::SnapshotDone(_) => break,
            _ => seen += 1,
        }
    }
    assert_eq!(seen, 2);
    // The link goes down between these two: on a busy machine the command takes its time.
    let before_ns = holdfast_ipc::mono_ns();
    routers[1].namespace.sh("ip link set v0 down".into());
    let cut_ns = holdfast_ipc::mono_ns();
    let Event::Session(session) = events.message().await.unwrap().unwrap().event.unwrap() else { panic!() };
    assert_eq!((session.state.as_str(), session.diagnostic.as_str()), ("Down", "Control Detection Time Expired"));
    // 150 ms after the last packet, which was one interval old at most; the intervals of sessions that are not up would make it 3 s.
    let (least, most) = (before_ns + 80_000_000, cut_ns + 1_000_000_000);
    let failed = session.failed_since_mono_ns;
    assert!((least..most).contains(&failed), "failed at {failed}, wanted {least} to {most}");
    routers[1].namespace.sh("ip link set v0 up".into());
    let again = routers[0].until("back", |s| s.iter().any(|session| session.state == "Up")).await;
    assert!(again.iter().any(|session| session.downs == 1 && session.failed_since_mono_ns == 0));
}

#[test]
fn a_configuration_may_ask_for_as_many_sessions_as_there_can_be() {
    assert_eq!(holdfast_config::limits::BFD_SESSIONS_MAX, holdfast_bfd::SESSIONS_MAX);
}
