//! A brain that answers what it was told to: HTTP by hand over a socket, so that it can also hang up, stay silent or
//! come back, as real ones do.

use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// An HTTP status and a body.
    Json(u16, Value),
    /// A body of bytes as they are.
    Bytes(Vec<u8>),
    /// Server-sent events, each after a pause; then it hangs up.
    Events(Vec<Value>),
    /// It hangs up at once.
    HangUp,
    /// `101`, then it says this, and echoes what it hears in capitals until the other side ends.
    Upgrade(&'static str),
}

/// What it was told, and what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Brain {
    script: Arc<Mutex<HashMap<String, VecDeque<Answer>>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Brain {
    /// One that knows nothing: every list is a refusal.
    pub(crate) fn new() -> Self {
        Brain::default()
    }

    /// To "GET /v1/guests.json?name=web1" it answers this; told several times, it answers in that order, and goes on
    /// with the last.
    pub(crate) fn answer(self, request: &str, answer: Answer) -> Self {
        self.script.lock().unwrap().entry(request.to_owned()).or_default().push_back(answer);
        self
    }

    /// The same with a JSON body and status 200.
    pub(crate) fn on(self, request: &str, body: Value) -> Self {
        self.answer(request, Answer::Json(200, body))
    }

    /// The same with a refusal.
    pub(crate) fn refuse(self, request: &str, status: u16, errors: Value, hint: Option<&str>) -> Self {
        self.answer(request, Answer::Json(status, refusal(status, errors, hint)))
    }

    /// Every request so far that was no GET, with its body.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().filter(|line| !line.starts_with("GET")).cloned().collect()
    }

    /// Starts to answer, on any port of loopback; gives the URL.
    pub(crate) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let brain = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(brain.clone().serve(stream));
            }
        });
        url
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some((line, body)) = read_request(&mut stream).await else { return };
        let told = if body.is_empty() { line.clone() } else { format!("{line} {body}") };
        self.requests.lock().unwrap().push(told);
        let answer = {
            let mut script = self.script.lock().unwrap();
            match script.get_mut(&line) {
                Some(answers) if answers.len() > 1 => answers.pop_front(),
                Some(answers) => answers.front().cloned(),
                None => None,
            }
        };
        let missing =
            || Answer::Json(404, refusal(404, json!({"base": [format!("no such thing: {line}")]}), None));
        // The test ends when it likes; what could not be sent then is nobody's loss.
        let _ = send(&mut stream, answer.unwrap_or_else(missing)).await;
    }
}

fn refusal(status: u16, errors: Value, hint: Option<&str>) -> Value {
    json!({ "status": status, "code": "test", "errors": errors, "hint": hint, "request_id": "r-1" })
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).into_owned();
    let line = text.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    assert!(text.to_ascii_lowercase().contains("authorization: bearer secret"), "no token: {text}");
    let length = text
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while read.len() < head + length.unwrap_or(0) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
    Some((line, String::from_utf8_lossy(&read[head..]).into_owned()))
}

async fn send(stream: &mut TcpStream, answer: Answer) -> std::io::Result<()> {
    let head = |status: u16, kind: &str, length: Option<usize>| {
        let length = length.map(|length| format!("content-length: {length}\r\n")).unwrap_or_default();
        format!("HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\n{length}connection: close\r\n\r\n")
    };
    match answer {
        Answer::HangUp => Ok(()),
        Answer::Json(status, body) => {
            let body = body.to_string();
            stream.write_all(head(status, "application/json", Some(body.len())).as_bytes()).await?;
            stream.write_all(body.as_bytes()).await
        }
        Answer::Bytes(body) => {
            stream.write_all(head(200, "text/plain", None).as_bytes()).await?;
            stream.write_all(&body).await
        }
        Answer::Events(events) => {
            stream.write_all(head(200, "text/event-stream", None).as_bytes()).await?;
            for event in events {
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(format!(": tick\n\ndata: {event}\n\n").as_bytes()).await?;
            }
            Ok(())
        }
        Answer::Upgrade(greeting) => {
            let head = "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: honcho-stream\r\n\r\n";
            stream.write_all(format!("{head}{greeting}").as_bytes()).await?;
            let mut said = [0; 256];
            loop {
                let count = stream.read(&mut said).await?;
                if count == 0 {
                    return Ok(());
                }
                stream.write_all(said[..count].to_ascii_uppercase().as_slice()).await?;
                if said[..count].contains(&b'\n') {
                    return Ok(());
                }
            }
        }
    }
}
