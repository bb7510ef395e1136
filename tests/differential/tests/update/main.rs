//! UPDATE: what two codecs accept, they understand alike.

mod generate;
mod meaning;
mod netgauze;
mod ours;
mod rustbgpd;

use std::cell::Cell;

use holdfast_bgp::wire::Negotiated;
use meaning::Meaning;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Reads a whole message; `None`: it does not accept it, or not wholly.
type Codec = fn(&[u8], &Negotiated) -> Option<Meaning>;

const OTHERS: [(&str, Codec); 2] = [("rustbgpd-wire", rustbgpd::read), ("netgauze-bgp-pkt", netgauze::read)];

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// What both accept is the same to both; whether both did.
fn compare(wire: &[u8], session: &Negotiated, name: &str, other: Codec) -> Result<bool, TestCaseError> {
    let (Some(ours), Some(theirs)) = (ours::read(wire, session), other(wire, session)) else { return Ok(false) };
    match ours.difference(&theirs) {
        None => Ok(true),
        Some(what) => Err(TestCaseError::fail(format!("{name} reads something else: {what}\n{wire:02x?}"))),
    }
}

#[test]
fn what_is_well_formed_is_accepted_and_understood_by_all() {
    let outcome = runner(600).run(&generate::message(), |(wire, session)| {
        for (name, codec) in OTHERS {
            if !compare(&wire, &session, name, codec)? {
                let accepts = [ours::read(&wire, &session).is_some(), codec(&wire, &session).is_some()];
                let what = format!("we and {name} accept: {accepts:?}\n{wire:02x?}");
                return Err(TestCaseError::fail(what));
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_damaged_and_accepted_is_understood_alike() {
    for (name, codec) in OTHERS {
        let (seen, both) = (Cell::new(0u32), Cell::new(0u32));
        let outcome = runner(6000).run(&generate::damaged(), |(wire, session)| {
            seen.set(seen.get() + 1);
            both.set(both.get() + u32::from(compare(&wire, &session, name, codec)?));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        println!("{name}: {} of {} damaged messages accepted by both", both.get(), seen.get());
        assert!(both.get() > seen.get() / 20, "{name}: too few to say anything: {} of {}", both.get(), seen.get());
    }
}
