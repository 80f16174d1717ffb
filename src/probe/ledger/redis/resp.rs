//! Redis' protocol (RESP 2), as much of it as a ledger needs.

use crate::probe::ledger::wire::{Failed, Wire};

/// No answer of a server holds a longer text, nor a list of more.
const LONGEST: usize = 1 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// `OK` and the like.
    Word(String),
    /// A whole number.
    Number(i64),
    /// Text.
    Text(Vec<u8>),
    /// A list of so many texts.
    Count(usize),
    /// Nothing there.
    Nil,
}

/// A command as it is sent.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

/// Sends a command and takes in its answer.
pub(super) async fn ask(wire: &mut Wire, words: &[&str]) -> Result<Reply, Failed> {
    wire.send(&command(words)).await?;
    reply(wire).await
}

/// The next answer.
pub(super) async fn reply(wire: &mut Wire) -> Result<Reply, Failed> {
    let line = wire.line().await?;
    let (kind, rest) = split(&line)?;
    match kind {
        '+' => Ok(Reply::Word(rest.to_owned())),
        '-' => Err(Failed::Said(rest.to_owned())),
        ':' => rest.parse().map(Reply::Number).map_err(|_| Failed::Garbage),
        '$' => Ok(text(wire, rest).await?.map_or(Reply::Nil, Reply::Text)),
        '*' => Ok(elements(wire, rest, |_| {}).await?.map_or(Reply::Nil, Reply::Count)),
        _ => Err(Failed::Garbage),
    }
}

/// An answer that is a list of texts: how many there are, each given to `take`. Nothing is none.
pub(super) async fn list(wire: &mut Wire, take: impl FnMut(Vec<u8>)) -> Result<usize, Failed> {
    let line = wire.line().await?;
    match split(&line)? {
        ('-', said) => Err(Failed::Said(said.to_owned())),
        ('*', count) => Ok(elements(wire, count, take).await?.unwrap_or(0)),
        _ => Err(Failed::Garbage),
    }
}

async fn elements(
    wire: &mut Wire,
    count: &str,
    mut take: impl FnMut(Vec<u8>),
) -> Result<Option<usize>, Failed> {
    let Some(count) = length(count)? else { return Ok(None) };
    for _ in 0..count {
        let line = wire.line().await?;
        let ('$', rest) = split(&line)? else { return Err(Failed::Garbage) };
        take(text(wire, rest).await?.ok_or(Failed::Garbage)?);
    }
    Ok(Some(count))
}

async fn text(wire: &mut Wire, count: &str) -> Result<Option<Vec<u8>>, Failed> {
    Ok(match length(count)? {
        Some(count) => Some(wire.block(count).await?),
        None => None,
    })
}

/// A length; `None` stands for nothing.
fn length(text: &str) -> Result<Option<usize>, Failed> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST);
            length.map(Some).ok_or(Failed::Garbage)
        }
        Err(_) => Err(Failed::Garbage),
    }
}

fn split(line: &str) -> Result<(char, &str), Failed> {
    let mut chars = line.chars();
    let kind = chars.next().ok_or(Failed::Garbage)?;
    Ok((kind, chars.as_str()))
}
