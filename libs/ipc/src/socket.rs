use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::IpcError;

/// Bytes that fit into `sun_path` beside its terminator.
const ADDRESS_MAX_LEN: usize = 107;
/// Sockets are for the router's own user.
const SOCKET_MODE: u32 = 0o600;
/// How often a connection is tried while waiting for a listener.
const CONNECT_RETRY: Duration = Duration::from_millis(20);

/// A path that fits a Unix socket's address, and the directory it leans on, which has to stay open while it is used.
pub fn socket_address(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= ADDRESS_MAX_LEN {
        return Ok((path.to_path_buf(), None));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path of a socket"));
    };
    let directory = File::open(parent)?;
    let address = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((address, Some(directory)))
}

async fn open(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    let (address, _directory) = socket_address(&path)?;
    UnixStream::connect(&address).await.map(TokioIo::new)
}

/// A channel to whoever listens on `path`. Connects on first use and anew after the listener was replaced.
pub fn channel(path: &Path) -> Channel {
    let path = path.to_path_buf();
    // The address in the URI is never used: the connector below knows the way.
    Endpoint::from_static("http://holdfast.invalid")
        .connect_with_connector_lazy(tower::service_fn(move |_: Uri| open(path.clone())))
}

/// A channel to whoever listens on `path`, once somebody does.
pub async fn connect(path: &Path, timeout: Duration) -> Result<Channel, IpcError> {
    let started = Instant::now();
    loop {
        match open(path.to_path_buf()).await {
            Ok(_) => return Ok(channel(path)),
            Err(error) if started.elapsed() >= timeout => {
                return Err(IpcError::Connect {
                    path: path.to_path_buf(),
                    waited_ms: started.elapsed().as_millis(),
                    reason: error.to_string(),
                });
            }
            Err(_) => tokio::time::sleep(CONNECT_RETRY).await,
        }
    }
}

/// Listens on `path`, in place of a socket that an earlier process left there.
pub fn bind(path: &Path) -> Result<UnixListener, IpcError> {
    let failed = |source| IpcError::Bind { path: path.to_path_buf(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let (address, _directory) = socket_address(path).map_err(failed)?;
    let listener = UnixListener::bind(&address).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(listener)
}

/// Serves until `shutdown` completes.
pub async fn serve(listener: UnixListener, router: Router, shutdown: impl Future<Output = ()>) -> Result<(), IpcError> {
    Ok(router.serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_longer_than_a_socket_address_works() {
        let root = std::env::temp_dir().join(format!("holdfast-ipc-{}", std::process::id()));
        let path = root.join("d".repeat(120)).join("rpd.sock");
        let listener = bind(&path).expect("binds");
        let accepted = tokio::spawn(async move { listener.accept().await.map(|_| ()) });
        open(path.clone()).await.expect("connects");
        accepted.await.expect("joins").expect("accepts");
        fs::remove_dir_all(root).expect("cleans up");
    }

    #[tokio::test]
    async fn a_missing_listener_is_named() {
        let path = std::env::temp_dir().join("holdfast-nobody-listens.sock");
        let error = connect(&path, Duration::from_millis(1)).await.expect_err("nobody listens");
        assert!(error.to_string().contains("holdfast-nobody-listens.sock"), "{error}");
    }
}
