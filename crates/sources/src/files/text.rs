//! The text of a file: its bytes decompressed, as UTF-8 without a byte order mark.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use bytes::Bytes;
use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};
use flate2::bufread::GzDecoder;
use sluice_contracts::job::{Compression, TextEncoding};
use sluice_contracts::{Error, Result};
use tokio::sync::mpsc;

use super::fetch::Fetch;

/// Bytes of text that are made at once.
const CHUNK: usize = 1 << 20;
/// Chunks that wait for each other. More would cost memory and save no time.
const WAITING: usize = 2;

/// How the bytes of a file are text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Coding {
    /// `None` if each file's first bytes tell.
    pub(super) compression: Option<Compression>,
    /// `None` if each file's byte order mark tells; UTF-8 without one.
    pub(super) encoding: Option<TextEncoding>,
}

impl Coding {
    /// Whether the file that begins with these bytes is text as it is.
    pub(super) fn is_plain(self, first: &[u8]) -> bool {
        self.compression_of(first) == Compression::None
            && matches!(self.encoding_of(first), TextEncoding::Utf8)
    }

    /// How the file that begins with these bytes is compressed.
    pub(super) fn compression_of(self, first: &[u8]) -> Compression {
        self.compression.unwrap_or(match first {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            // A frame, or one that is skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => Compression::Bzip2,
            _ => Compression::None,
        })
    }

    /// Whether the file that begins with these bytes can be read from its middle: each of its ASCII characters
    /// is one byte.
    pub(super) fn can_be_cut(self, first: &[u8]) -> bool {
        let is_wide =
            matches!(self.encoding_of(first), TextEncoding::Utf16 | TextEncoding::Utf16Be);
        self.compression_of(first) == Compression::None && !is_wide
    }

    /// Whether each character is one byte, so that text of a file has as many characters as the file bytes.
    pub(super) fn is_single_byte(self) -> bool {
        matches!(self.encoding, Some(TextEncoding::Latin1 | TextEncoding::Windows1252))
    }

    /// How text is encoded that begins with these bytes.
    pub(super) fn encoding_of(self, first: &[u8]) -> TextEncoding {
        self.encoding.unwrap_or(match first {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => TextEncoding::Utf16,
            _ => TextEncoding::Utf8,
        })
    }
}

/// The byte order mark of UTF-8.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a file, or of a range of its bytes, from its beginning to its end.
#[derive(Debug)]
pub(super) struct Text {
    name: String,
    coding: Coding,
    /// Whether it is the beginning of a file alone, which may end within compressed data.
    is_sample: bool,
    state: State,
    received: u64,
    waited: Duration,
}

#[derive(Debug)]
enum State {
    /// Nothing was read. Whether the range begins with the file.
    New(Fetch, bool),
    Plain(Fetch),
    /// A thread makes text of what it is sent.
    Piped {
        made: mpsc::Receiver<Result<Bytes>>,
        counts: mpsc::UnboundedReceiver<(u64, Duration)>,
    },
    End,
}

impl Text {
    /// The text of what `fetch` reads. `begins` says that it begins with the file's first byte.
    pub(super) fn new(name: &str, coding: Coding, fetch: Fetch, begins: bool) -> Self {
        let state = State::New(fetch, begins);
        let (name, is_sample) = (name.to_owned(), false);
        Self { name, coding, is_sample, state, received: 0, waited: Duration::ZERO }
    }

    /// The text of the beginning of a file, which `fetch` reads.
    pub(super) fn sample(name: &str, coding: Coding, fetch: Fetch) -> Self {
        Self { is_sample: true, ..Self::new(name, coding, fetch, true) }
    }

    /// The next text, which may end within a character; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        match &mut self.state {
            State::New(..) => self.begin().await,
            State::Plain(fetch) => {
                let next = fetch.next().await?;
                (self.received, self.waited) = (fetch.received(), fetch.waited());
                Ok(next)
            }
            State::Piped { made, counts } => {
                let next = made.recv().await;
                while let Ok(count) = counts.try_recv() {
                    (self.received, self.waited) = count;
                }
                match next {
                    Some(next) => next.map(Some),
                    None => Ok(None),
                }
            }
            State::End => Ok(None),
        }
    }

    async fn begin(&mut self) -> Result<Option<Bytes>> {
        let State::New(mut fetch, begins) = std::mem::replace(&mut self.state, State::End) else {
            return Ok(None);
        };
        let Some(first) = fetch.next().await? else { return Ok(None) };
        (self.received, self.waited) = (fetch.received(), fetch.waited());
        let is_plain = if begins {
            self.coding.is_plain(&first)
        } else {
            matches!(self.coding.encoding, None | Some(TextEncoding::Utf8))
        };
        if is_plain {
            self.state = State::Plain(fetch);
            let marked = begins && first.starts_with(MARK);
            return Ok(Some(if marked { first.slice(MARK.len()..) } else { first }));
        }
        let compression =
            if begins { self.coding.compression_of(&first) } else { Compression::None };
        let file = File {
            name: self.name.clone(),
            compression,
            coding: self.coding,
            is_sample: self.is_sample,
        };
        self.state = pipe(file, first, fetch);
        Box::pin(self.next()).await
    }

    /// Bytes of the file received so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How long it has waited for them so far.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }
}

/// What is known of a file that a thread makes text of.
struct File {
    name: String,
    compression: Compression,
    coding: Coding,
    is_sample: bool,
}

/// Starts a thread that decompresses and decodes what a task fetches.
fn pipe(file: File, first: Bytes, mut fetch: Fetch) -> State {
    let (send_bytes, bytes) = mpsc::channel(WAITING);
    let (send_text, made) = mpsc::channel(WAITING);
    let (count, counts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut next = Ok(Some(first));
        loop {
            let more = matches!(next, Ok(Some(_)));
            let _ = count.send((fetch.received(), fetch.waited()));
            // Nobody listens: the unit was given up.
            if send_bytes.send(next.transpose()).await.is_err() || !more {
                return;
            }
            next = fetch.next().await;
        }
    });
    tokio::task::spawn_blocking(move || {
        let received = Received { bytes, now: Bytes::new(), ended: false, failed: None };
        if let Err(error) = file.make_text(received, &send_text) {
            let _ = send_text.blocking_send(Err(error));
        }
    });
    State::Piped { made, counts }
}

impl File {
    /// Reads all bytes, and sends the text that they are.
    fn make_text(&self, mut received: Received, send: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
        let mut decoding: Option<Decoding> = None;
        let mut lines = 0;
        let mut plain: Box<dyn Read + '_> = match self.compression {
            Compression::None => Box::new(&mut received),
            Compression::Gzip => Box::new(Members::new(&mut received)),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(&mut received)),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&mut received);
                Box::new(decoder.map_err(|source| self.damaged(source))?)
            }
        };
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = plain.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
            let is_cut = match read {
                Ok(_) => false,
                Err(source) if self.is_sample && source.kind() == io::ErrorKind::UnexpectedEof => {
                    true
                }
                Err(source) => {
                    drop(plain);
                    // Where the bytes did not come, they are not damaged.
                    return Err(match received.failed.take() {
                        Some(error) => error,
                        None => self.damaged(source),
                    });
                }
            };
            let is_last = chunk.is_empty();
            let encoding = self.coding.encoding_of(&chunk);
            let decoding = decoding.get_or_insert_with(|| Decoding::of(encoding));
            let (text, malformed) = decoding.decode(&chunk, is_last && !self.is_sample);
            lines += memchr::memchr_iter(b'\n', &text).count();
            if malformed {
                return Err(Error::data(format!(
                    "read `{}`, line {}: it has bytes that its encoding does not know",
                    self.name,
                    lines + 1
                ))
                .hint("`source.format.encoding` says how the characters are encoded"));
            }
            let ends = is_last || is_cut;
            if !text.is_empty() && send.blocking_send(Ok(text.into())).is_err() || ends {
                return Ok(());
            }
        }
    }

    fn damaged(&self, source: io::Error) -> Error {
        let what = match source.kind() {
            io::ErrorKind::UnexpectedEof => "ends before its compressed data does",
            _ => "has compressed data that is damaged",
        };
        let (name, compression) = (&self.name, self.compression.word());
        Error::data(format!("read `{name}`: it {what} ({compression})"))
            .because(source)
            .hint("write the file again: rows may be missing at its end")
    }
}

/// The members of a gzip file, one after another. Tapes have zeros behind the last.
///
/// <https://www.gnu.org/software/gzip/manual/html_node/Tapes.html>
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Members<R> {
    fn new(bytes: R) -> Self {
        Self(Some(GzDecoder::new(bytes)))
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            let Some(mut bytes) = self.0.take().map(GzDecoder::into_inner) else { break };
            loop {
                let next = bytes.fill_buf()?;
                let zeros = next.iter().take_while(|byte| **byte == 0).count();
                let is_end = next.is_empty();
                let is_member = zeros < next.len();
                bytes.consume(zeros);
                if is_end {
                    return Ok(0);
                }
                if is_member {
                    break;
                }
            }
            self.0 = Some(GzDecoder::new(bytes));
        }
        Ok(0)
    }
}

/// Bytes that come from a task, as a thread reads them.
struct Received {
    bytes: mpsc::Receiver<Option<Result<Bytes>>>,
    now: Bytes,
    ended: bool,
    failed: Option<Error>,
}

impl BufRead for Received {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.now.is_empty() && !self.ended {
            match self.bytes.blocking_recv() {
                Some(Some(Ok(bytes))) => self.now = bytes,
                Some(None) => self.ended = true,
                Some(Some(Err(error))) => {
                    self.failed = Some(error);
                    return Err(io::Error::other("the file could not be read"));
                }
                None => return Err(io::Error::other("the reader stopped")),
            }
        }
        Ok(&self.now)
    }

    fn consume(&mut self, count: usize) {
        drop(self.now.split_to(count));
    }
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(into.len());
        into[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// From the characters of a file to UTF-8.
enum Decoding {
    Utf8 { begun: bool },
    Latin1,
    Other(Box<Decoder>),
}

impl Decoding {
    fn of(encoding: TextEncoding) -> Self {
        match encoding {
            TextEncoding::Utf8 => Self::Utf8 { begun: false },
            TextEncoding::Latin1 => Self::Latin1,
            TextEncoding::Windows1252 => {
                Self::Other(Box::new(WINDOWS_1252.new_decoder_without_bom_handling()))
            }
            // The byte order mark, if there is one, chooses.
            TextEncoding::Utf16 => Self::Other(Box::new(UTF_16LE.new_decoder())),
            TextEncoding::Utf16Be => Self::Other(Box::new(UTF_16BE.new_decoder())),
        }
    }

    /// The text of some bytes, up to the first that its encoding does not know, and whether there are such.
    fn decode(&mut self, bytes: &[u8], is_last: bool) -> (Vec<u8>, bool) {
        match self {
            // What is no UTF-8 is found where it is read, with its line and column.
            Self::Utf8 { begun } => {
                let marked = !std::mem::replace(begun, true) && bytes.starts_with(MARK);
                (if marked { bytes[MARK.len()..].to_vec() } else { bytes.to_vec() }, false)
            }
            Self::Latin1 => {
                let mut text = vec![0; bytes.len() * 2];
                let length = encoding_rs::mem::convert_latin1_to_utf8(bytes, &mut text);
                text.truncate(length);
                (text, false)
            }
            Self::Other(decoder) => {
                let most = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
                let mut text = vec![0; most.unwrap_or(bytes.len() * 3 + 16)];
                let (result, _, length) =
                    decoder.decode_to_utf8_without_replacement(bytes, &mut text, is_last);
                text.truncate(length);
                // There is room for as many characters as there can be.
                (text, result != DecoderResult::InputEmpty)
            }
        }
    }
}
