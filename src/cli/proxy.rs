//! `firedrill proxy`: the proxy as a daemon of its own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, output, source};
use crate::daemon::{CONFIG_LIMIT, Config, Proxies, Reloaded, Server, Token};

/// The variable that may hold the token.
const TOKEN: &str = "FIREDRILL_PROXY_TOKEN";
/// The largest file that is read for a token, in bytes.
const TOKEN_LIMIT: u64 = 64 * 1024;

/// Options of `firedrill proxy`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ProxyArgs {
    /// Where the API listens. Any address but loopback needs a token
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8474")]
    listen: SocketAddr,
    /// Proxies to begin with: Toxiproxy's list in JSON, toxics allowed. SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the token that callers have to show, as `Authorization: Bearer TOKEN`; or set
    /// FIREDRILL_PROXY_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

const HELP: &str = "\
The API is that of Toxiproxy 2, so that its clients work unchanged, and beside it:
  GET    /proxies/NAME/cut    the cut in force, and what passed during it
  PUT    /proxies/NAME/cut    cut: {\"mode\": \"blackhole\"}, \"reset\", \"drain\" or {\"degrade\": {..}}
  DELETE /proxies/NAME/cut    open again
  GET    /metrics             for Prometheus

A cut is answered when it is in force, and lasts until it is opened or the daemon ends. SIGTERM and
SIGINT end the daemon, SIGHUP reads FILE again: proxies that are in it unchanged keep their
connections, and a file with mistakes changes nothing.

Exit codes: 0 when it was ended, 2 when it could not start.";

pub(super) fn proxy(args: &ProxyArgs) -> Exit {
    match start(args) {
        Ok(()) => Exit::Pass,
        Err(what) => {
            output::say_lines(what.trim_end());
            Exit::Usage
        }
    }
}

fn start(args: &ProxyArgs) -> Result<(), String> {
    let token = token(args)?;
    if !args.listen.ip().is_loopback() && token.is_none() {
        return Err(format!(
            "error: whoever reaches {} could cut traffic there\nhelp: give a token by --token-file \
             or {TOKEN}, or listen at 127.0.0.1",
            args.listen
        ));
    }
    let config = args.config.as_deref().map_or(Ok(Config::default()), read)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| format!("error: no threads could be started: {error}"))?;
    runtime.block_on(serve(args, config, token))
}

fn token(args: &ProxyArgs) -> Result<Option<Token>, String> {
    let (text, whence) = match &args.token_file {
        Some(path) => {
            let shown = path.display().to_string();
            let bytes = source::bytes(path, TOKEN_LIMIT).map_err(|error| {
                format!("error: the token file {shown} could not be read: {error}")
            })?;
            // Wrong bytes are wrong characters, which is said without showing them.
            (String::from_utf8_lossy(&bytes).into_owned(), shown)
        }
        None => match std::env::var_os(TOKEN) {
            Some(value) => (value.to_string_lossy().into_owned(), TOKEN.to_owned()),
            None => return Ok(None),
        },
    };
    Token::new(&text)
        .map(Some)
        .map_err(|why| format!("error: {whence} holds no token\nhelp: {why}"))
}

/// The config in the file at `path`, or everything that is wrong with it.
fn read(path: &Path) -> Result<Config, String> {
    let shown = path.display();
    let bytes = source::bytes(path, CONFIG_LIMIT)
        .map_err(|error| format!("error: the config {shown} could not be read: {error}"))?;
    Config::read(&bytes).map_err(|findings| {
        let lines: Vec<String> = findings
            .iter()
            .map(|it| format!("error: {shown}:{}:{}: {}", it.line, it.column, it.what))
            .collect();
        lines.join("\n")
    })
}

struct Signals {
    end: [Signal; 2],
    reload: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let end = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok(Signals { end, reload: signal(SignalKind::hangup())? })
    }
}

async fn serve(args: &ProxyArgs, mut config: Config, token: Option<Token>) -> Result<(), String> {
    // Before anything can be cut, so that no signal ends the process in another way.
    let mut signals =
        Signals::new().map_err(|error| format!("error: signals cannot be heard: {error}"))?;
    let proxies = Arc::new(Proxies::default());
    let server = Server::bind(args.listen, Arc::clone(&proxies), token).await;
    let server = server.map_err(|error| cannot_listen(args.listen, &error))?;
    let address = server.address().map_err(|error| cannot_listen(args.listen, &error))?;
    let begun = proxies.reload(&Config::default(), &config).await;
    if !begun.failed.is_empty() {
        let failed = begun.failed.iter().map(|it| format!("error: {it}"));
        return Err(failed.collect::<Vec<_>>().join("\n"));
    }
    output::say(format_args!("listening at http://{address} with {}", counted(config.len())));
    let serving = tokio::spawn(server.serve());
    let [interrupt, terminate] = &mut signals.end;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = signals.reload.recv() => reload(args, &mut config, &proxies).await,
        }
    }
    serving.abort();
    let (all, cut) = proxies.count();
    proxies.end().await;
    output::say(format_args!("ended, and with it {}, {cut} of them cut", counted(all)));
    Ok(())
}

async fn reload(args: &ProxyArgs, config: &mut Config, proxies: &Proxies) {
    let Some(path) = &args.config else {
        output::say("SIGHUP: there is no --config to read again; nothing was changed");
        return;
    };
    let path = path.clone();
    let read = tokio::task::spawn_blocking(move || read(&path)).await;
    match read.unwrap_or_else(|_| Err("error: the config could not be read".to_owned())) {
        Err(what) => {
            output::say_lines(what);
            output::say("SIGHUP: nothing was changed");
        }
        Ok(new) => {
            let done = proxies.reload(config, &new).await;
            // Where one could not listen, the next signal tries again.
            if done.failed.is_empty() {
                *config = new;
            }
            told(&done);
        }
    }
}

fn told(done: &Reloaded) {
    for failed in &done.failed {
        output::say(format_args!("error: {failed}"));
    }
    output::say(format_args!(
        "reloaded: {} added, {} changed, {} removed",
        done.added.len(),
        done.changed.len(),
        done.removed.len()
    ));
}

fn counted(proxies: usize) -> String {
    match proxies {
        0 => "no proxies".to_owned(),
        1 => "1 proxy".to_owned(),
        n => format!("{n} proxies"),
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has it, perhaps a Toxiproxy (`ss -ltnp` says which); end that or choose another by --listen"
        }
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine; see `ip address`",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or run with more rights",
        _ => "choose another address by --listen",
    };
    format!("error: the API cannot listen at {address}: {error}\nhelp: {hint}")
}
