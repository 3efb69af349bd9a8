//! Requests that are counted: what came of each, and never an end of the command.

use indelible_api::{BatchResponse, ItemResult, JSON, Problem, Submitted};

use super::{ANSWER_BYTES_MAX, API_KEY, Remote, is_here, variable};
use crate::exit::Result;
use crate::output::Output;

/// What came of a request.
#[derive(Debug)]
pub enum Sent {
    /// A status, and what came with it.
    Answered(u16, Counted),
    /// No answer, and why.
    Lost(String),
}

/// What an answer says of the events that were sent.
#[derive(Debug, Default)]
pub struct Counted {
    /// How many have a receipt.
    pub receipts: u64,
    /// How many have none, by the titles of the problems.
    pub errors: Vec<(String, u64)>,
    /// The title of the problem, where the answer as a whole is one.
    pub title: String,
}

impl Remote {
    /// The server at this address, with a connection of its own.
    ///
    /// # Errors
    /// As [`Remote::meant`].
    pub fn at(url: &str, output: &Output) -> Result<Self> {
        let remote = Self::new(url, variable(API_KEY)?)?;
        remote.warn_of_the_key(output);
        Ok(remote)
    }

    /// The same server, with a connection of its own.
    ///
    /// # Errors
    /// As [`Remote::meant`].
    pub fn again(&self) -> Result<Self> {
        Self::new(&self.url, self.key.clone())
    }

    /// Whether what is sent there stays on this machine.
    pub fn is_here(&self) -> bool {
        is_here(&self.url)
    }

    /// Sends JSON and counts what came of it.
    pub fn send(&self, path: &str, body: &str) -> Sent {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request.header("content-type", JSON);
        let answer = self.signed(request).send(body.as_bytes());
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Sent::Lost(format!("no answer: {error}")),
        };
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        match body.read_to_vec() {
            Ok(body) => Sent::Answered(status, Counted::of(status, &body)),
            Err(error) => Sent::Lost(format!("half an answer: {error}")),
        }
    }
}

impl Counted {
    fn of(status: u16, body: &[u8]) -> Self {
        if serde_json::from_slice::<Submitted>(body).is_ok() {
            return Self {
                receipts: 1,
                ..Self::default()
            };
        }
        if let Ok(batch) = serde_json::from_slice::<BatchResponse>(body) {
            let problems = batch.results.iter().filter_map(|item| match &item.result {
                ItemResult::Problem(problem) => Some(problem),
                ItemResult::Receipt(_) => None,
            });
            return Self {
                receipts: batch.accepted + batch.repeated,
                errors: problems.map(|problem| (problem.title.clone(), 1)).collect(),
                ..Self::default()
            };
        }
        let title = match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => problem.title,
            Err(_) => format!("status {status}"),
        };
        Self {
            receipts: 0,
            errors: Vec::new(),
            title,
        }
    }
}
