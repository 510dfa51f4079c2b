//! The timeline of a run, as text in two columns: when and who on the left, what on the right.
//! Faults and violations stand out; what only repeats itself is left out unless it is asked for.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use crate::history::{History, Violation, What};
use crate::telling::{Weight, clipped, told};

/// Lines that a timeline shows unless it is told otherwise.
pub const LINES_DEFAULT: usize = 200;
/// Characters of a line's right column: data can have a megabyte.
const TEXT_CHARS_MAX: usize = 200;
/// The narrowest left column for who.
const WHO_CHARS_MIN: usize = 10;

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Without heartbeats, saves, and what follows from a line that is there.
    Story,
    /// Everything.
    Everything,
}

/// Are colours understood where the timeline goes?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colours {
    /// No.
    None,
    /// Yes: a terminal's.
    Ansi,
}

/// What part of a run is shown.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// Nothing before or after.
    pub window: Option<(Duration, Duration)>,
    /// Only these clients and servers, beside faults and violations; everybody if it is empty.
    pub only: Vec<String>,
    /// At most this many lines; the first and the last stay.
    pub lines_max: usize,
    /// How much is told.
    pub detail: Detail,
    /// With colours?
    pub colours: Colours,
}

struct Line<'a> {
    at: Duration,
    who: Cow<'a, str>,
    weight: Weight,
    text: String,
}

/// The timeline of `history`, with the violations where they were seen.
pub fn draw(history: &History, violations: &[Violation], view: &View) -> String {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut pending: Vec<&Violation> = violations.iter().collect();
    pending.sort_by_key(|violation| std::cmp::Reverse(violation.at));
    let failed = |violation: &Violation| Line {
        at: violation.at,
        who: Cow::Borrowed(""),
        weight: Weight::Failure,
        text: format!("FAIL {}: {}", violation.invariant, violation.detail),
    };
    for moment in &history.moments {
        while let Some(violation) = pending.pop_if(|violation| violation.at < moment.at) {
            lines.extend(shown(failed(violation), view));
        }
        lines.extend(shown(line_of(moment.at, &moment.what), view));
    }
    while let Some(violation) = pending.pop() {
        lines.extend(shown(failed(violation), view));
    }
    layout(&lines, view)
}

fn shown<'a>(line: Line<'a>, view: &View) -> Option<Line<'a>> {
    let in_window = view
        .window
        .is_none_or(|(from, to)| from <= line.at && line.at <= to);
    let stands_out = matches!(line.weight, Weight::Fault | Weight::Failure);
    let wanted = view.only.is_empty() || view.only.iter().any(|name| *name == line.who);
    let told = line.weight != Weight::Noise || view.detail == Detail::Everything;
    (in_window && told && (wanted || stands_out)).then_some(line)
}

fn layout(lines: &[Line<'_>], view: &View) -> String {
    let who_width = lines.iter().map(|line| line.who.chars().count()).max();
    let who_width = who_width.unwrap_or(0).max(WHO_CHARS_MIN);
    let mut text = String::new();
    let (head, tail) = match lines.len() > view.lines_max {
        true => (view.lines_max / 2, view.lines_max - view.lines_max / 2),
        false => (lines.len(), 0),
    };
    for line in &lines[..head] {
        write_line(&mut text, line, who_width, view.colours);
    }
    if tail > 0 {
        let left_out = lines.len() - head - tail;
        writeln!(text, "{:>12}  ... {left_out} lines left out ...", "").expect(TEXT);
        for line in &lines[lines.len() - tail..] {
            write_line(&mut text, line, who_width, view.colours);
        }
    }
    text
}

const TEXT: &str = "text can be written";

fn write_line(text: &mut String, line: &Line<'_>, who_width: usize, colours: Colours) {
    let (sign, colour) = match line.weight {
        Weight::Noise => (' ', "2"),
        Weight::Plain => (' ', ""),
        Weight::Mark => ('*', "1"),
        Weight::Fault => ('!', "33"),
        Weight::Failure => ('✘', "1;31"),
    };
    let (begin, end) = match (colours, colour) {
        (Colours::None, _) | (Colours::Ansi, "") => (String::new(), ""),
        (Colours::Ansi, colour) => (format!("\x1b[{colour}m"), "\x1b[0m"),
    };
    let at = format!("{}.{:06}s", line.at.as_secs(), line.at.subsec_micros());
    let what = clipped(&line.text, TEXT_CHARS_MAX);
    let what = match line.weight {
        // The reason for the whole timeline is told in full.
        Weight::Failure => Cow::Borrowed(line.text.as_str()),
        _ => what,
    };
    writeln!(
        text,
        "{begin}{at:>13} {:<who_width$} {sign} {what}{end}",
        line.who
    )
    .expect(TEXT);
}

fn line_of(at: Duration, what: &What) -> Line<'_> {
    let (who, weight, text) = told(what);
    Line {
        at,
        who,
        weight,
        text,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use althing_core::ids::{Epoch, Password, ServerId, SessionId, Xid, Zxid};
    use althing_core::node::event::Event;
    use althing_core::node::reply::{EventKind, Reply, Response, WatchEvent};
    use althing_core::node::request::{ConnectRequest, Request};
    use althing_core::store::txn::Ending;
    use althing_core::tree::data::Data;
    use althing_core::tree::op::{Done, Op};
    use althing_core::tree::path::Path;
    use althing_core::tree::stat::Stat;

    use super::*;
    use crate::history::{LinkId, Moment, Received, Sent};

    fn zxid(counter: u32) -> Zxid {
        Zxid::new(Epoch(1), counter)
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn at(millis: u64, what: What) -> Moment {
        Moment {
            at: Duration::from_millis(millis),
            what,
        }
    }

    fn asks(client: &str, xid: i32, request: Request) -> What {
        What::Sent {
            client: Arc::from(client),
            link: LinkId(1),
            frame: Sent::Request {
                xid: Xid(xid),
                request: Arc::new(request),
            },
        }
    }

    fn hears(client: &str, reply: Reply, request: Option<Request>) -> What {
        What::Received {
            client: Arc::from(client),
            link: LinkId(1),
            frame: Received::Reply {
                reply,
                request: request.map(Arc::new),
            },
        }
    }

    fn set(value: &str) -> Request {
        Request::Write(Op::SetData {
            path: path("/a"),
            data: Some(Data::from(value)),
            version: 2,
        })
    }

    fn story() -> History {
        let connect = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 6000,
            session: None,
            password: Password::NONE,
            read_only: None,
        };
        let connect = What::Sent {
            client: Arc::from("client-1"),
            link: LinkId(1),
            frame: Sent::Connect(connect),
        };
        let stat = Stat {
            version: 3,
            ..Stat::default()
        };
        let answer = Reply::Answer {
            xid: Xid(1),
            zxid: zxid(7),
            result: Ok(Response::Done(Done::DataSet(stat))),
        };
        let event = Reply::Event(WatchEvent {
            zxid: zxid(7),
            kind: EventKind::NodeDataChanged,
            path: path("/a"),
        });
        let said = |event| What::Said {
            server: ServerId(1),
            event,
        };
        let mark = What::Mark {
            client: Arc::from("client-1"),
            name: "master-elected",
            detail: "1.7 at 10.0.0.1".to_owned(),
        };
        let struck = What::Struck {
            index: 0,
            kind: "crash",
            detail: "server-1 for 5s".to_owned(),
        };
        let closed = Event::SessionClosed {
            session: SessionId(0x100000001),
            ending: Ending::Expired,
            ephemerals: 1,
        };
        let touched = Event::Touched {
            session: SessionId(0x100000001),
        };
        let moments = vec![
            at(1, connect),
            at(1_500, asks("client-1", 1, set("new"))),
            at(1_501, asks("client-1", -2, Request::Ping)),
            at(1_502, said(touched)),
            at(1_510, hears("client-1", answer, Some(set("new")))),
            at(1_511, hears("client-2", event, None)),
            at(2_000, mark),
            at(3_000, struck),
            at(9_000, said(closed)),
            at(60_000, What::SecondAct),
        ];
        History { moments }
    }

    fn violation() -> Violation {
        Violation {
            invariant: "V2 event",
            at: Duration::from_millis(1_511),
            detail: "nothing of the kind happened".to_owned(),
            session: None,
        }
    }

    fn view() -> View {
        View {
            window: None,
            only: Vec::new(),
            lines_max: LINES_DEFAULT,
            detail: Detail::Story,
            colours: Colours::None,
        }
    }

    fn drawn(view: &View) -> String {
        draw(&story(), &[violation()], view)
    }

    #[test]
    fn a_run_is_told_in_two_columns() {
        let expected = "
    0.001000s client-1     -> connect, new session, 6000ms
    1.500000s client-1     -> setData /a \"new\" if version 2 (#1)
    1.510000s client-1     <- setData (#1) at 1.7: version 3
    1.511000s client-2     <- event NodeDataChanged /a at 1.7
    1.511000s            ✘ FAIL V2 event: nothing of the kind happened
    2.000000s client-1   * master-elected 1.7 at 10.0.0.1
    3.000000s            ! FAULT 0 crash: server-1 for 5s
    9.000000s server-1   * session-expired 0x100000001, with 1 ephemerals
   60.000000s            ! THE SECOND ACT: everything is healed, the goals are due
";
        assert_eq!(drawn(&view()), expected.trim_start_matches('\n'));
    }

    #[test]
    fn everything_is_told_on_demand() {
        let everything = View {
            detail: Detail::Everything,
            ..view()
        };
        let text = drawn(&everything);
        assert_eq!(text.lines().count(), drawn(&view()).lines().count() + 2);
        assert!(
            text.contains("    1.501000s client-1     -> ping\n"),
            "{text}"
        );
        assert!(
            text.contains("    1.502000s server-1     touched 0x100000001\n"),
            "{text}"
        );
    }

    #[test]
    fn only_some_are_shown_beside_faults_and_failures() {
        let only = View {
            only: vec!["client-2".to_owned()],
            ..view()
        };
        let text = drawn(&only);
        let who: Vec<&str> = text.lines().map(|line| line[14..24].trim()).collect();
        assert_eq!(who, ["client-2", "", "", ""]);
    }

    #[test]
    fn a_window_ends_on_both_sides() {
        let window = View {
            window: Some((Duration::from_millis(1_511), Duration::from_secs(3))),
            ..view()
        };
        assert_eq!(drawn(&window).lines().count(), 4);
    }

    #[test]
    fn long_timelines_lose_their_middle() {
        let short = View {
            lines_max: 5,
            ..view()
        };
        let text = drawn(&short);
        assert_eq!(text.lines().count(), 6);
        assert!(
            text.contains("\n              ... 4 lines left out ...\n"),
            "{text}"
        );
        assert!(text.starts_with("    0.001000s"), "{text}");
        assert!(text.ends_with("the goals are due\n"), "{text}");
    }

    #[test]
    fn colours_are_for_terminals() {
        let coloured = View {
            colours: Colours::Ansi,
            ..view()
        };
        let text = drawn(&coloured);
        assert!(!drawn(&view()).contains('\x1b'));
        let failure = text.lines().find(|line| line.contains("FAIL")).unwrap();
        assert!(
            failure.starts_with("\x1b[1;31m") && failure.ends_with("\x1b[0m"),
            "{failure}"
        );
    }
}
