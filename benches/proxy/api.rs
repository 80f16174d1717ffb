//! A thousand proxies with ten toxics each, over the API of the daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use comfy_table::{Table, presets::ASCII_MARKDOWN};

use crate::process::median;
use crate::rivals;

const PROXIES: usize = 1_000;
const TOXICS: usize = 10;

/// One connection to the API.
pub struct Api(BufReader<TcpStream>);

impl Api {
    pub fn new(address: SocketAddr) -> Api {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Api(BufReader::new(stream))
    }

    /// Asks, and gives the body of an answer that is a success.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: api\r\ncontent-length: {length}\r\n\r\n");
        self.0.get_mut().write_all((head + body).as_bytes()).unwrap();
        let mut status = String::new();
        self.0.read_line(&mut status).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(status.starts_with("HTTP/1.1 2"), "{method} {path}: {status}{body}");
        body
    }
}

pub fn measure(backend: SocketAddr) {
    let child = rivals::daemon();
    let mut api = Api::new(child.address);
    let before = child.memory();
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(["", "calls", "s", "p50 us", "p99 us"]);
    let mut row = |name: &str, calls: usize, call: &mut dyn FnMut(usize)| {
        let start = Instant::now();
        let mut times: Vec<f64> = (0..calls)
            .map(|n| {
                let sent = Instant::now();
                call(n);
                sent.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        table.add_row([
            name.to_owned(),
            calls.to_string(),
            format!("{:.2}", start.elapsed().as_secs_f64()),
            format!("{:.0}", median(times.clone())),
            format!("{:.0}", times[times.len() * 99 / 100]),
        ]);
    };
    row("make a proxy", PROXIES, &mut |n| {
        let form = format!(r#"{{"name":"p{n}","listen":"127.0.0.1:0","upstream":"{backend}"}}"#);
        api.ask("POST", "/proxies", &form);
    });
    row("put a toxic on", PROXIES * TOXICS, &mut |n| {
        let (proxy, toxic) = (n / TOXICS, n % TOXICS);
        let form =
            format!(r#"{{"name":"t{toxic}","type":"latency","attributes":{{"latency":1}}}}"#);
        api.ask("POST", &format!("/proxies/p{proxy}/toxics"), &form);
    });
    row("read all proxies", 10, &mut |_| {
        let all = api.ask("GET", "/proxies", "");
        assert_eq!(all.matches(r#""type":"latency""#).count(), PROXIES * TOXICS);
    });
    row("read all metrics", 10, &mut |_| drop(api.ask("GET", "/metrics", "")));
    let memory = (child.memory() - before) / PROXIES as f64;
    row("cut a proxy", PROXIES, &mut |n| {
        api.ask("PUT", &format!("/proxies/p{n}/cut"), r#"{"mode":"blackhole"}"#);
    });
    row("reset", 1, &mut |_| drop(api.ask("POST", "/reset", "")));
    row("delete a proxy", PROXIES, &mut |n| {
        api.ask("DELETE", &format!("/proxies/p{n}"), "");
    });
    println!(
        "{PROXIES} proxies with {TOXICS} toxics each, over the API; {memory:.0} bytes each\n{table}\n"
    );
}
