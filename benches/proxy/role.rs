//! The parts that this program plays in processes of their own: the backend and our proxy.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use firedrill::proxy::{Degradation, Fault, Gate, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::process::Child;

/// The size of a request and of an answer.
pub const MESSAGE: usize = 64;
/// What a connection does, said by its first byte: endless data, answers, one answer, or now and then a byte.
pub const STREAM: u8 = b's';
pub const ANSWER: u8 = b'a';
pub const ONCE: u8 = b'o';
pub const TRICKLE: u8 = b't';

/// Starts this program in another role.
pub fn start(arguments: &[&str]) -> Child {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let talk = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut child = Child { address, process, files: None, talk: Some(talk) };
    child.address = child.answer().parse().unwrap();
    child
}

pub fn play(role: &str, arguments: &[String]) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match role {
        "backend" => runtime.block_on(backend()),
        "proxy" => runtime.block_on(proxy(arguments[0].clone())),
        other => panic!("no role {other}"),
    }
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

async fn backend() {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    }
}

async fn serve(mut client: TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut message = [0; MESSAGE];
    client.read_exact(&mut message).await?;
    match message[0] {
        STREAM => {
            let data = vec![1; 256 * 1024];
            loop {
                client.write_all(&data).await?;
            }
        }
        TRICKLE => loop {
            client.write_u8(1).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        },
        ONCE => client.write_all(&message).await,
        _ => loop {
            client.write_all(&message).await?;
            client.read_exact(&mut message).await?;
        },
    }
}

/// Our proxy. Commands come by stdin: a fault or `open`; the answer is the time it took, in us.
async fn proxy(backend: String) {
    let gate = Gate::new();
    let proxy = Proxy::listen(&gate, any_port(), backend).await.unwrap();
    println!("{}", proxy.address());
    let (lines, mut commands) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    while let Some(command) = commands.recv().await {
        let start = Instant::now();
        match fault(&command) {
            Some(fault) => gate.cut(fault).await.unwrap(),
            None => gate.open().await.unwrap(),
        }
        println!("{}", start.elapsed().as_micros());
        let _ = std::io::stdout().flush();
    }
}

fn fault(command: &str) -> Option<Fault> {
    match command {
        "blackhole" => Some(Fault::Blackhole),
        "reset" => Some(Fault::Reset),
        "drain" => Some(Fault::Drain),
        "degrade" => Some(Fault::Degrade(Degradation {
            latency: Duration::from_millis(100),
            jitter: Duration::ZERO,
            loss: 0.0,
            bandwidth: None,
        })),
        _ => None,
    }
}
