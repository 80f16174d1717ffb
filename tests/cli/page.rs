//! A page whose content can be changed while it is served: a check, a switch or metrics.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

/// The page. Its thread ends with the process.
pub struct Page {
    address: SocketAddr,
    content: Arc<Mutex<(u16, String)>>,
}

impl Page {
    pub fn new(body: &str) -> Page {
        Page::of_type("text/plain", body)
    }

    /// A page whose content is of the type `kind`.
    pub fn of_type(kind: &'static str, body: &str) -> Page {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let content = Arc::new(Mutex::new((200, body.to_owned())));
        let served = content.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                // To the end of the head: nobody sends a body that has to be read.
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let (status, body) = served.lock().unwrap().clone();
                let answer = format!(
                    "HTTP/1.1 {status} It\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        });
        Page { address, content }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is served from now on.
    pub fn serve(&self, status: u16, body: &str) {
        *self.content.lock().unwrap() = (status, body.to_owned());
    }
}
