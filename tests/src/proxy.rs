//! A network between Sluice and its source that can fail or be slow.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Forwards a port of this machine to a server. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    weather: Arc<watch::Sender<Weather>>,
    /// How many more connections may be open at the same time.
    width: Arc<Semaphore>,
    accepting: JoinHandle<()>,
}

/// The state of the network. A connection is cut when `storms` changes, and forgotten when
/// `lapses` does.
#[derive(Debug, Clone, Copy)]
struct Weather {
    storms: u64,
    lapses: u64,
    refusing: bool,
}

impl Proxy {
    /// A proxy to `server` without a limit of speed.
    pub async fn to(server: (String, u16)) -> Self {
        Self::throttled(server, None, Semaphore::MAX_PERMITS).await
    }

    /// A proxy that lets each connection receive at most `bytes_per_second`.
    pub async fn slow(server: (String, u16), bytes_per_second: usize) -> Self {
        Self::throttled(server, Some(bytes_per_second), Semaphore::MAX_PERMITS).await
    }

    /// A slow proxy that lets one connection through at a time until [`widen`](Self::widen) is
    /// called. The next connection gets an answer only after the one before it ends.
    pub async fn narrow(server: (String, u16), bytes_per_second: usize) -> Self {
        Self::throttled(server, Some(bytes_per_second), 1).await
    }

    async fn throttled(server: (String, u16), rate: Option<usize>, width: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let weather =
            Arc::new(watch::Sender::new(Weather { storms: 0, lapses: 0, refusing: false }));
        let seen = Arc::clone(&weather);
        let width = Arc::new(Semaphore::new(width));
        let room = Arc::clone(&width);
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut watching = seen.subscribe();
                let now = *watching.borrow_and_update();
                if now.refusing {
                    continue;
                }
                let (server, room) = (server.clone(), Arc::clone(&room));
                let mut forgetting = watching.clone();
                tokio::spawn(async move {
                    let let_through = async {
                        let _room = room.acquire().await;
                        forward(&mut client, server, rate).await;
                    };
                    tokio::select! {
                        () = let_through => return,
                        _ = watching.wait_for(|later| later.storms != now.storms) => return,
                        _ = forgetting.wait_for(|later| later.lapses != now.lapses) => {}
                    }
                    // The server's side has ended; the client's is open, and nothing comes.
                    drop(watching.wait_for(|later| later.storms != now.storms).await);
                    drop(client);
                });
            }
        });
        Self { port, weather, width, accepting }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets any number of connections through at the same time.
    pub fn widen(&self) {
        self.width.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Cuts every open connection; new connections are let through.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.storms += 1);
    }

    /// Forgets every open connection, as a firewall does: the client is told nothing. New
    /// connections are let through.
    pub fn forget(&self) {
        self.weather.send_modify(|weather| weather.lapses += 1);
    }

    /// Cuts every connection, and refuses new ones for `time`.
    pub async fn gone_for(&self, time: Duration) {
        self.weather.send_modify(|weather| {
            weather.storms += 1;
            weather.refusing = true;
        });
        tokio::time::sleep(time).await;
        self.weather.send_modify(|weather| weather.refusing = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// Copies both ways until either side ends.
async fn forward(client: &mut TcpStream, server: (String, u16), rate: Option<usize>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        // Ten slices a second.
        let mut buffer = vec![0; rate.map_or(1 << 16, |rate| (rate / 10).max(1))];
        loop {
            let length = match from_server.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            if to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            if let Some(rate) = rate {
                let share = f64::from(u32::try_from(length).unwrap_or(u32::MAX))
                    / f64::from(u32::try_from(rate).unwrap_or(u32::MAX));
                tokio::time::sleep(Duration::from_secs_f64(share)).await;
            }
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
    }
}
