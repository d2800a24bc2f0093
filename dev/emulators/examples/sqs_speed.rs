//! Measures the SQS emulator: 16 clients, each sending, receiving and deleting over a connection
//! of its own, with nothing and with 100,000 messages waiting, delayed or in flight.
//!
//! `sqs_speed [SECONDS]` (default 5 per measurement). Client and server share the machine.
#![allow(clippy::print_stdout)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use ojs_emulators::{Sqs, SqsOptions};
use serde_json::{Value, json};

const CLIENTS: usize = 16;
const BACKLOG: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sqs = runtime.block_on(Sqs::start(SqsOptions::default()))?;
    let addr = sqs.url().trim_start_matches("http://").to_owned();
    let mut setup = Connection::open(&addr)?;

    for (name, what, delay_s) in [
        ("empty", "empty queue", None),
        ("waiting", "100,000 waiting", Some(0)),
        ("delayed", "100,000 delayed", Some(900)),
        ("in-flight", "100,000 in flight", Some(0)),
    ] {
        let created = setup.call("CreateQueue", &json!({"QueueName": name}))?;
        let url = created["QueueUrl"].as_str().ok_or("no queue")?.to_owned();
        if let Some(delay_s) = delay_s {
            let start = Instant::now();
            fill(&mut setup, &url, delay_s)?;
            println!("{what}: filled at {:.0} messages/s", per_second(BACKLOG, start.elapsed()));
        }
        if name == "in-flight" {
            let receive = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 43_200});
            for _ in 0..BACKLOG / 10 {
                setup.call("ReceiveMessage", &receive)?;
            }
        }
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (addr, url) = (addr.clone(), url.clone());
                thread::spawn(move || cycles(&addr, &url, end))
            })
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.join().map_err(|_| "a client panicked")??);
        }
        let elapsed = start.elapsed();
        times.sort_unstable();
        let percentile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        println!(
            "{what}: {:.0} cycles/s ({CLIENTS} clients; cycle p50 {:?}, p99 {:?}) {:?}",
            per_second(times.len(), elapsed),
            percentile(50),
            percentile(99),
            sqs.queue_depth(name),
        );
    }
    runtime.block_on(sqs.shutdown());
    Ok(())
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / elapsed.as_secs_f64()
}

fn fill(connection: &mut Connection, url: &str, delay_s: u32) -> io::Result<()> {
    let entries: Vec<_> = (0..10)
        .map(|n| json!({"Id": n.to_string(), "MessageBody": "x".repeat(200), "DelaySeconds": delay_s}))
        .collect();
    let request = json!({"QueueUrl": url, "Entries": entries});
    for _ in 0..BACKLOG / 10 {
        connection.call("SendMessageBatch", &request)?;
    }
    Ok(())
}

/// Sends, receives and deletes until the end; returns how long each cycle took.
fn cycles(addr: &str, url: &str, end: Instant) -> io::Result<Vec<Duration>> {
    let mut connection = Connection::open(addr)?;
    let send = json!({"QueueUrl": url, "MessageBody": "x".repeat(200)});
    let receive = json!({"QueueUrl": url});
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        connection.call("SendMessage", &send)?;
        let received = connection.call("ReceiveMessage", &receive)?;
        let handle = &received["Messages"][0]["ReceiptHandle"];
        if handle.is_null() {
            return Err(io::Error::other("sent but not received"));
        }
        connection.call("DeleteMessage", &json!({"QueueUrl": url, "ReceiptHandle": handle}))?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// A keep-alive connection.
struct Connection {
    stream: BufReader<TcpStream>,
    addr: String,
}

impl Connection {
    fn open(addr: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), addr: addr.to_owned() })
    }

    fn call(&mut self, action: &str, body: &Value) -> io::Result<Value> {
        let body = body.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nx-amz-target: AmazonSQS.{action}\r\n\
             content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
            self.addr,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length, mut ok) = (String::new(), 0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            ok |= line.starts_with("http/1.1 200");
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(io::Error::other)?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        if !ok {
            return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
        }
        serde_json::from_slice(&answer).map_err(io::Error::other)
    }
}
