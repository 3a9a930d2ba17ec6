//! One HTTP request on a connection of its own, without a library that would mend what is wrong.

use crate::{Server, within};
use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The lines of the head below the first.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header; empty without it.
    pub fn header(&self, name: &str) -> &str {
        let pairs = self.headers.iter().filter_map(|line| line.split_once(": "));
        let mut values = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map_or("", |(_, value)| value)
    }
}

impl Server {
    /// The answer to `GET path`; `headers` are whole lines.
    pub async fn get(&self, path: &str, headers: &[&str]) -> anyhow::Result<Answer> {
        self.request("GET", path, headers, "").await
    }

    /// The answer to a request; `headers` are whole lines.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> anyhow::Result<Answer> {
        let lines: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{lines}\r\n{body}",
            self.address(),
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(self.address()).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            anyhow::Ok(String::from_utf8(answer)?)
        };
        let text = within("an answer", exchange).await??;
        let (head, body) = text.split_once("\r\n\r\n").context("no whole answer")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        Ok(Answer {
            status: status.context("no status")?.parse()?,
            headers: lines.map(str::to_owned).collect(),
            body: body.to_owned(),
        })
    }
}
