//! Both ends of a replacement, over `DIR/ppm/handover.sock`.
//!
//! ```text
//!   successor                                  predecessor
//!   connects              ───────────────────>
//!                         <───── sockets ───── duplicates, named; it still sends and receives
//!   stop                  ───────────────────> writes the last records, stands still
//!                         <───── stopped ─────
//!   adopts the records, sends what is due
//!   goes on               ───────────────────> ends
//! ```
//!
//! If the successor dies before its last word, the predecessor goes on.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_bfd::SESSIONS_MAX;
use holdfast_bfd::sessions::RECORD_LEN;
use holdfast_ipc::RunDir;
use holdfast_kernel::descriptor::{recv_with_fds, send_with_fds};
use holdfast_kernel::records::RecordFile;
use tokio::sync::oneshot;

use crate::error::PpmdError;
use crate::limits::{DESCRIPTORS_PER_MESSAGE, HANDOVER_DEADLINE};
use crate::request::{Request, Worker};
use crate::sockets::Named;

const STOP: u8 = b's';
const GOES_ON: u8 = b'g';
/// Before a message of sockets: how many; zero after the last.
const COUNT_LEN: usize = 4;
const NAME_LEN: usize = 4;

/// What lies in `DIR/ppm`.
#[derive(Clone, Debug)]
pub struct Place {
    records: PathBuf,
    socket: PathBuf,
}

impl Place {
    /// Makes the folder.
    pub fn new(run_dir: &RunDir) -> Result<Place, PpmdError> {
        let folder = run_dir.periodic_dir();
        std::fs::create_dir_all(&folder).map_err(PpmdError::file(&folder))?;
        Ok(Place { records: folder.join("sessions"), socket: folder.join("handover.sock") })
    }

    /// An earlier life of the router is over.
    pub fn forget(&self) -> Result<(), PpmdError> {
        match std::fs::remove_file(&self.records) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PpmdError::file(&self.records)(source)),
            _ => Ok(()),
        }
    }

    /// The records, opened. Those of a form that is not understood are another version's: its sessions begin anew.
    pub fn records(&self) -> Result<RecordFile, PpmdError> {
        match RecordFile::open(&self.records, SESSIONS_MAX, RECORD_LEN) {
            Err(source) if source.kind() == io::ErrorKind::InvalidData => {
                tracing::error!("{source}: sessions begin anew");
                self.forget()?;
                RecordFile::open(&self.records, SESSIONS_MAX, RECORD_LEN).map_err(PpmdError::file(&self.records))
            }
            opened => opened.map_err(PpmdError::file(&self.records)),
        }
    }
}

/// The successor's end.
#[derive(Debug)]
pub struct Baton {
    stream: UnixStream,
    sockets: Vec<Named>,
}

impl Baton {
    /// Connects to the ppmd that runs, and gets its sockets.
    pub fn ask(place: &Place) -> Result<Baton, PpmdError> {
        let path = place.socket.clone();
        ask(&path).map_err(|source| PpmdError::TakeOver { path, source })
    }

    /// The sockets.
    pub fn take_sockets(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.sockets)
    }

    /// The predecessor stands still from now on; it says since when.
    pub fn stop_predecessor(&mut self) -> io::Result<Duration> {
        self.stream.write_all(&[STOP])?;
        let mut since = [0; 8];
        self.stream.read_exact(&mut since)?;
        Ok(Duration::from_nanos(u64::from_le_bytes(since)))
    }

    /// The sessions go on here: the predecessor may end.
    pub fn confirm(mut self) {
        let _ = self.stream.write_all(&[GOES_ON]);
    }
}

fn ask(path: &Path) -> io::Result<Baton> {
    let (address, _directory) = holdfast_ipc::socket_address(path)?;
    let stream = UnixStream::connect(address)?;
    stream.set_read_timeout(Some(HANDOVER_DEADLINE))?;
    stream.set_write_timeout(Some(HANDOVER_DEADLINE))?;
    let mut sockets = Vec::new();
    loop {
        // The names lie behind the count; the descriptors come with the first octet of either.
        let mut message = [0; COUNT_LEN + NAME_LEN * DESCRIPTORS_PER_MESSAGE];
        let (length, descriptors) = recv_with_fds(stream.as_fd(), &mut message[..COUNT_LEN], DESCRIPTORS_PER_MESSAGE)?;
        if length != COUNT_LEN {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = u32::from_le_bytes([message[0], message[1], message[2], message[3]]) as usize;
        if count == 0 {
            return Ok(Baton { stream, sockets });
        }
        if count != descriptors.len() || sockets.len() + count > SESSIONS_MAX + crate::sockets::LISTENERS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "sockets without names"));
        }
        let names = &mut message[COUNT_LEN..COUNT_LEN + NAME_LEN * count];
        (&stream).read_exact(names)?;
        let names = names.chunks_exact(NAME_LEN).map(|name| u32::from_le_bytes([name[0], name[1], name[2], name[3]]));
        sockets.extend(names.zip(descriptors));
    }
}

/// Serves successors; completes when one has taken over.
pub fn serve(place: &Place, worker: Worker) -> Result<impl Future<Output = ()> + use<>, PpmdError> {
    let listener = holdfast_ipc::bind(&place.socket)?;
    let listener = listener.into_std().map_err(PpmdError::file(&place.socket))?;
    listener.set_nonblocking(false).map_err(PpmdError::file(&place.socket))?;
    let (taken, over) = oneshot::channel();
    std::thread::Builder::new()
        .name("ppmd-handover".into())
        .stack_size(crate::limits::STACK_LEN)
        .spawn(move || wait_for_successor(&listener, &worker, taken))
        .map_err(|source| PpmdError::Start { what: "wait for a successor", source })?;
    Ok(async move {
        if over.await.is_err() {
            // Nobody can take over from this process any more; it goes on all the same.
            std::future::pending::<()>().await;
        }
    })
}

fn wait_for_successor(listener: &UnixListener, worker: &Worker, taken: oneshot::Sender<()>) {
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("a successor cannot connect: {error}");
                std::thread::sleep(HANDOVER_DEADLINE);
                continue;
            }
        };
        match give_away(stream, worker) {
            Ok(()) => {
                tracing::info!("a successor has taken over");
                let _ = taken.send(());
                return;
            }
            Err(error) => tracing::warn!("a successor did not take over ({error}); this ppmd goes on"),
        }
    }
}

fn ask_worker<T>(worker: &Worker, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> io::Result<T> {
    let (reply, answer) = oneshot::channel();
    worker.tell(request(reply)).map_err(|status| io::Error::other(status.message().to_owned()))?;
    answer.blocking_recv().map_err(io::Error::other)
}

fn give_away(mut stream: UnixStream, worker: &Worker) -> io::Result<()> {
    stream.set_read_timeout(Some(HANDOVER_DEADLINE))?;
    stream.set_write_timeout(Some(HANDOVER_DEADLINE))?;
    let sockets = ask_worker(worker, Request::Sockets)??;
    for chunk in sockets.chunks(DESCRIPTORS_PER_MESSAGE) {
        let descriptors: Vec<BorrowedFd<'_>> = chunk.iter().map(|(_, socket)| socket.as_fd()).collect();
        let count = (chunk.len() as u32).to_le_bytes();
        if send_with_fds(stream.as_fd(), &count, &descriptors)? != COUNT_LEN {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let names: Vec<u8> = chunk.iter().flat_map(|(name, _)| name.to_le_bytes()).collect();
        stream.write_all(&names)?;
    }
    stream.write_all(&0_u32.to_le_bytes())?;
    drop(sockets);
    expect(&mut stream, STOP)?;
    let stopped = ask_worker(worker, Request::Pause)?;
    let since = u64::try_from(stopped.as_nanos()).unwrap_or_default();
    let confirmed = stream.write_all(&since.to_le_bytes()).and_then(|()| expect(&mut stream, GOES_ON));
    if confirmed.is_err() {
        // It stands still until it hears this.
        while worker.tell(Request::Resume).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    confirmed
}

fn expect(stream: &mut UnixStream, word: u8) -> io::Result<()> {
    let mut octet = [0];
    stream.read_exact(&mut octet)?;
    if octet[0] == word { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "not the word that was due")) }
}
