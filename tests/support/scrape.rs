//! Reads the metrics of a running proxy.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Metrics as Prometheus would take them.
pub struct Scrape(pub String);

/// A loopback address that nobody listens on.
pub async fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("it is bound").to_string()
}

impl Scrape {
    pub async fn of(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("metrics are served");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the request is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the answer is text");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Self(answer)
    }

    /// The sum over every line of the metric whose labels hold all of these.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let lines = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let ours =
            lines.filter(|(key, _)| key.split('{').next() == Some(name) && labels.iter().all(|l| key.contains(l)));
        ours.map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
    }
}
