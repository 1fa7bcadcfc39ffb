//! What travels between two agents, and how it is cut into pieces.
//!
//! ```text
//!   Question, Answer   length (4 bytes, little-endian), JSON
//!   Block              'B', offset (8), length (4), SHA-256 (32), bytes
//!   Passed             'P', position (8): nothing new up to there; said now and then, so that nobody thinks it hangs
//!   End                'E', digest of the whole (32)
//!   Broken             'X', length (4), why
//! ```

use super::BLOCK;
use super::blocks::Block;
use honcho_model::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The words of this build. Another one is refused.
pub(super) const VERSION: u32 = 1;

/// Nobody has that much to say in JSON here.
const LONGEST_WORDS: u32 = 64 << 10;

/// What is asked for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Question {
    /// [`VERSION`].
    pub(super) version: u32,
    /// As the manifest gives it.
    pub(super) ticket: String,
    /// Where to begin: what lies before is there already.
    pub(super) from: u64,
}

/// What is said to it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It comes.
    Comes {
        /// Its size.
        size: u64,
        /// How much of that is not a hole.
        data: u64,
        /// The public half of the SSH host key that was made with it.
        ssh_host_key: Option<String>,
    },
    /// It does not come, and why.
    Refused(String),
}

/// A piece of a volume.
pub(super) enum Piece {
    Block(Block),
    Passed(u64),
    End(Digest),
    Broken(String),
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the other agent sent {what}"))
}

pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), words: &impl Serialize) -> Result<()> {
    let json = serde_json::to_vec(words)?;
    let length = u32::try_from(json.len()).map_err(|_| invalid("too much"))?;
    to.write_all(&length.to_le_bytes()).await?;
    to.write_all(&json).await?;
    to.flush().await
}

pub(super) async fn hear<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T> {
    let length = from.read_u32_le().await?;
    if length > LONGEST_WORDS {
        return Err(invalid("words without end"));
    }
    Ok(serde_json::from_slice(&bytes(from, length).await?)?)
}

async fn bytes(from: &mut (impl AsyncRead + Unpin), length: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), piece: &Piece) -> Result<()> {
    match piece {
        Piece::Block(block) => {
            let length = u32::try_from(block.bytes.len()).map_err(|_| invalid("too much"))?;
            let mut head = vec![b'B'];
            head.extend(block.offset.to_le_bytes());
            head.extend(length.to_le_bytes());
            head.extend(block.sha256);
            to.write_all(&head).await?;
            to.write_all(&block.bytes).await
        }
        Piece::Passed(position) => {
            let mut head = vec![b'P'];
            head.extend(position.to_le_bytes());
            to.write_all(&head).await?;
            to.flush().await
        }
        Piece::End(digest) => {
            let mut head = vec![b'E'];
            head.extend(digest.0);
            to.write_all(&head).await?;
            to.flush().await
        }
        Piece::Broken(why) => {
            let mut head = vec![b'X'];
            head.extend(u32::try_from(why.len()).unwrap_or(0).to_le_bytes());
            head.extend(why.as_bytes());
            to.write_all(&head).await?;
            to.flush().await
        }
    }
}

/// The next piece. A block that is not what its SHA-256 says is the caller's to find out.
pub(super) async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Result<Piece> {
    Ok(match from.read_u8().await? {
        b'B' => {
            let (offset, length) = (from.read_u64_le().await?, from.read_u32_le().await?);
            let mut sha256 = [0; 32];
            from.read_exact(&mut sha256).await?;
            if u64::from(length) > BLOCK || offset % BLOCK != 0 {
                return Err(invalid("a block that is none"));
            }
            Piece::Block(Block { offset, bytes: bytes(from, length).await?, sha256 })
        }
        b'P' => Piece::Passed(from.read_u64_le().await?),
        b'E' => {
            let mut digest = [0; 32];
            from.read_exact(&mut digest).await?;
            Piece::End(Digest(digest))
        }
        b'X' => {
            let length = from.read_u32_le().await?;
            if length > LONGEST_WORDS {
                return Err(invalid("words without end"));
            }
            Piece::Broken(String::from_utf8_lossy(&bytes(from, length).await?).into_owned())
        }
        _ => return Err(invalid("a piece of a kind that is not known here")),
    })
}
