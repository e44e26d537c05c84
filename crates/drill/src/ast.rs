//! A script as a tree.

use core::ops::Range;

use wire::tcp::Flags;

/// Octets of the script's text.
pub type Span = Range<usize>;

/// A whole script.
#[derive(Clone, Debug)]
pub struct Script {
    /// `--name=value` lines at its top.
    pub options: Vec<OptionLine>,
    /// What is to happen, the commands before the first and after the last event included.
    pub events: Vec<Event>,
}

/// `--name=value`.
#[derive(Clone, Debug)]
pub struct OptionLine {
    /// Without the dashes.
    pub name: String,
    /// As it was written.
    pub value: Option<String>,
    /// Where.
    pub span: Span,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub when: When,
    /// What.
    pub action: Action,
    /// Where.
    pub span: Span,
}

/// When an event happens, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// `0.1`: since the start.
    At(u64),
    /// `+0.1`: since the event before.
    After(u64),
    /// `0.1~0.2`: since the start.
    AtRange(u64, u64),
    /// `+0.1~+0.2`: since the event before.
    AfterRange(u64, u64),
    /// `*`: at any time.
    Any,
    /// A command at the very start or end, without a time.
    Now,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Action {
    /// A packet that is sent to the endpoint or expected from it.
    Packet(Box<Packet>),
    /// A call of the application.
    Call(Box<Call>),
    /// A shell command in backquotes.
    Command(String),
    /// A block of code between `%{` and `}%`.
    Code(String),
}

/// A packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// `>`: from the endpoint. Else `<`: to it.
    pub outbound: bool,
    /// What is said of its IP header.
    pub ip: Ip,
    /// What is in it.
    pub body: Body,
}

/// What is said of an IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ip {
    /// Which of the TOS octet is meant.
    pub tos: Tos,
    /// The time to live; `None`: any.
    pub ttl: Option<u8>,
}

/// What is said of the TOS octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tos {
    /// Nothing.
    #[default]
    Any,
    /// The two ECN bits.
    Ecn(u8),
    /// ECN bits 01 or 10.
    Capable,
    /// All of it.
    Whole(u8),
}

/// What is in a packet.
#[derive(Clone, Debug)]
pub enum Body {
    /// A TCP segment.
    Tcp(Tcp),
    /// An ICMP error.
    Icmp(Icmp),
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Source and destination port, where the script names them.
    pub ports: Option<(u16, u16)>,
    /// The flags.
    pub flags: Flags,
    /// The AE bit, or the ACE field of accurate ECN, which we do not have: three bits.
    pub ace: Option<u8>,
    /// Sequence number as in the script.
    pub seq: u32,
    /// Octets of data.
    pub len: u16,
    /// Acknowledgment number as in the script; 0 if it is left out.
    pub ack: u32,
    /// The window as on the wire.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: u16,
    /// The options; `None`: any.
    pub options: Option<Vec<TcpOption>>,
}

/// An option of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TcpOption {
    /// End of list.
    End,
    /// No operation.
    Nop,
    /// Maximum segment size.
    Mss(u16),
    /// Window scale.
    WindowScale(u8),
    /// SACK permitted.
    SackOk,
    /// SACK blocks in the script's numbers.
    Sack(Vec<(u32, u32)>),
    /// Timestamps: TSval, TSecr.
    Timestamps(u32, u32),
    /// Any other: kind and data.
    Other(u8, Vec<u8>),
}

/// An ICMP error about a segment of the endpoint.
#[derive(Clone, Debug)]
pub struct Icmp {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The MTU of "fragmentation needed".
    pub mtu: u16,
    /// Sequence number and octets of data of the segment that it quotes, in the script's numbers.
    pub quoted: (u32, u16),
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Where the name is.
    pub name_span: Span,
    /// It blocks, and returns at this time: since the start, or since the event before, as the event's own.
    pub end: Option<u64>,
    /// Its arguments.
    pub arguments: Vec<Expr>,
    /// What it returns.
    pub result: Expr,
    /// The name of the error that it sets.
    pub errno: Option<String>,
}

/// An expression with its place.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What.
    pub value: Value,
    /// Where.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug)]
pub enum Value {
    /// `...`.
    Any,
    /// A number.
    Int(i64),
    /// A name.
    Word(String),
    /// Text.
    Text(Vec<u8>),
    /// Alternatives of bits: `a | b`.
    Or(Box<Expr>, Box<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{a, b}`.
    Group(Vec<Expr>),
    /// `{name = a, name = b}`.
    Fields(Vec<(String, Expr)>),
    /// `name(a)`.
    Apply(String, Vec<Expr>),
}
