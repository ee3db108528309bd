//! The story in `docs/story.md`, run as its reader would run it: each command of its console blocks, in order, with the built
//! binary in a real shell, and what each must print. The page owns the commands and the outcomes; this file owns how it is read.
//!
//! - `$ ` opens a command, `> ` carries it on. The lines below are its output, errors included, and nothing else may come.
//! - `…` in a line stands for anything; as a line of its own, for any lines. `(exit 1)` ends an output whose exit code is not 0.
//! - A block with a name after `console` is another terminal, whose command goes on beside the others; a later block with that name
//!   waits for what it prints next. `^C` ends it.
//! - `127.0.0.1:8443` stands for the free address at which the hub listens here.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Lines of a shell that wait to be read.
const LINES_AHEAD_MAX: usize = 10_000;

const PAGE: &str = include_str!("../docs/story.md");
/// The hub's address on the page.
const ADDRESS: &str = "127.0.0.1:8443";
/// Printed with the exit code after each command of the shell.
const MARK: &str = "@@story-exit ";
/// An outcome that has not come until then does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Fewer commands than this: the page is not read as it is meant.
const COMMANDS_MIN: usize = 130;

/// A command with what it must print; without a command, what a terminal must print next.
#[derive(Default)]
struct Step {
    line: usize,
    terminal: String,
    command: String,
    expected: Vec<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut terminal = None;
    for (number, text) in page.lines().enumerate() {
        if let Some(info) = text.strip_prefix("```") {
            let name = info.strip_prefix("console").map(|name| name.trim().to_owned());
            terminal = if terminal.is_some() { None } else { name };
            continue_in(&mut steps, terminal.as_deref(), number + 2);
            continue;
        }
        let Some(terminal) = &terminal else { continue };
        let last = steps.last_mut().expect("a block begins with a step");
        if let Some(command) = text.strip_prefix("$ ") {
            let command = command.to_owned();
            steps.push(Step {
                line: number + 1,
                terminal: terminal.clone(),
                command,
                expected: Vec::new(),
            });
        } else if let Some(more) = text
            .strip_prefix("> ")
            .filter(|_| last.expected.is_empty() && !last.command.is_empty())
        {
            last.command.push('\n');
            last.command.push_str(more);
        } else {
            last.expected.push(text.to_owned());
        }
    }
    steps.retain(|step| !step.command.is_empty() || !step.expected.is_empty());
    steps
}

/// A block may begin with output: then it belongs to what its terminal runs already.
fn continue_in(steps: &mut Vec<Step>, terminal: Option<&str>, line: usize) {
    if let Some(terminal) = terminal {
        steps.push(Step {
            line,
            terminal: terminal.to_owned(),
            ..Step::default()
        });
    }
}

/// Whether `text` is `pattern`, in which each `…` stands for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else {
        return pattern == text;
    };
    let Some(tail) = text.strip_prefix(start) else {
        return false;
    };
    tail.char_indices()
        .map(|(at, _)| at)
        .chain([tail.len()])
        .any(|at| is_like(rest, &tail[at..]))
}

/// Whether the lines are the expected ones, in which a lone `…` stands for any lines.
fn are_like(expected: &[String], lines: &[String]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((first, rest)), _) if first == "…" => {
            (0..=lines.len()).any(|skipped| are_like(rest, &lines[skipped..]))
        }
        (Some((first, rest)), Some((line, tail))) => is_like(first, line) && are_like(rest, tail),
        (Some(_), None) => false,
    }
}

/// A process of which the lines are read one by one.
struct Terminal {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Terminal {
    /// Runs `script` in a shell, in `dir`, with the binary in its path.
    fn run(dir: &Path, script: &str) -> Terminal {
        let binary = Path::new(env!("CARGO_BIN_EXE_clearinghouse"));
        let path = std::env::var("PATH").expect("a path");
        let folder = binary.parent().expect("it lies in a folder").display();
        let mut command = Command::new("sh");
        for name in [
            "CLEARINGHOUSE_PROFILE",
            "CLEARINGHOUSE_HUB",
            "CLEARINGHOUSE_LISTEN",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command
            .args(["-c", script])
            .current_dir(dir)
            .env("PATH", format!("{folder}:{path}"));
        command.env("COLUMNS", "200").env("NO_COLOR", "1").env("LC_ALL", "C");
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let (sender, lines) = sync_channel(LINES_AHEAD_MAX);
        let output = BufReader::new(process.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines
                .take_while(|line| sender.send(line.clone()).is_ok())
                .for_each(drop);
        });
        let input = process.stdin.take();
        Terminal { process, input, lines }
    }

    /// Gives a command to the shell; what it printed, the exit code last where it is not 0.
    fn command(&mut self, command: &str) -> Vec<String> {
        let input = self.input.as_mut().expect("the shell reads");
        write!(input, "{command}\nprintf '\\n{MARK}%d\\n' $?\n").expect("the shell takes it");
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{command}: {error} after {lines:#?}"));
            let Some(code) = line.strip_prefix(MARK) else {
                lines.push(line);
                continue;
            };
            // The mark begins on a line of its own, after whatever the output ended with.
            lines.pop_if(|line| line.is_empty());
            lines.extend((code != "0").then(|| format!("(exit {code})")));
            return lines;
        }
    }

    /// Reads on until `lines` are enough, the process has ended, or time is up.
    fn read(
        &mut self,
        lines: &mut Vec<String>,
        mut shown: impl FnMut(&str) -> String,
        is_enough: impl Fn(&[String]) -> bool,
    ) {
        while !is_enough(lines) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(shown(&line)),
                Err(RecvTimeoutError::Timeout) => return lines.push("(nothing more came)".to_owned()),
                Err(RecvTimeoutError::Disconnected) => {
                    let code = self.process.wait().expect("it ends").code().unwrap_or(-1);
                    return lines.extend((code != 0).then(|| format!("(exit {code})")));
                }
            }
        }
    }

    /// As a person's Ctrl-C; what that shows.
    fn interrupt(&mut self) -> String {
        if let Ok(Some(ended)) = self.process.try_wait() {
            return format!("(had ended before: {ended})");
        }
        let sent = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "it runs, and is a child");
        "^C".to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The terminals of the story, and where its hub listens.
struct Stage {
    dir: tempfile::TempDir,
    shell: Terminal,
    others: HashMap<String, Terminal>,
    address: Option<String>,
}

impl Stage {
    fn new() -> Stage {
        let dir = tempfile::tempdir().expect("a directory");
        let shell = Terminal::run(dir.path(), "exec 2>&1; exec sh");
        Stage {
            dir,
            shell,
            others: HashMap::new(),
            address: None,
        }
    }

    /// Does one step; what it printed, as the page would show it.
    fn play(&mut self, step: &Step) -> Vec<String> {
        // Port 0 asks for a free one; a hub that is started again gets the port that it had.
        let command = step
            .command
            .replace(ADDRESS, self.address.as_deref().unwrap_or("127.0.0.1:0"));
        let address = &mut self.address;
        let mut shown = |line: &str| {
            let listening = line.strip_prefix("listening on https://").map(str::to_owned);
            *address = address.take().or(listening);
            address
                .as_ref()
                .map_or(line.to_owned(), |address| line.replace(address, ADDRESS))
        };
        if step.terminal.is_empty() {
            return self.shell.command(&command).iter().map(|line| shown(line)).collect();
        }
        if !command.is_empty() {
            let terminal = Terminal::run(self.dir.path(), &format!("exec 2>&1; exec {command}"));
            self.others.insert(step.terminal.clone(), terminal);
        }
        let terminal = self.others.get_mut(&step.terminal).expect("a command opened it");
        let mut lines = Vec::new();
        let is_end = step.expected.first().is_some_and(|line| line == "^C");
        lines.extend(is_end.then(|| terminal.interrupt()));
        terminal.read(&mut lines, &mut shown, |lines| {
            !is_end && are_like(&step.expected, lines)
        });
        lines
    }
}

/// Plays a page; each step that printed something else than stands there, with its line.
fn faults(steps: &[Step]) -> Vec<String> {
    let mut stage = Stage::new();
    let mut faults = Vec::new();
    for step in steps {
        let lines = stage.play(step);
        if !are_like(&step.expected, &lines) {
            let (line, command) = (step.line, &step.command);
            let (expected, lines) = (step.expected.join("\n"), lines.join("\n"));
            faults.push(format!(
                "docs/story.md:{line}: $ {command}\n--- expected\n{expected}\n--- printed\n{lines}\n"
            ));
        }
    }
    faults
}

#[test]
fn the_story_goes_as_its_page_tells_it() {
    let steps = steps(PAGE);
    let commands = steps.iter().filter(|step| !step.command.is_empty()).count();
    assert!(commands >= COMMANDS_MIN, "only {commands} commands");
    let faults = faults(&steps);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_page_that_tells_something_else_is_found_out() {
    for (step, is_right) in [
        ("$ echo one; echo two >&2\none\ntwo\n", true),
        ("$ echo one; echo two\none\n", false),
        ("$ echo one\none\ntwo\n", false),
        ("$ (exit 3)\n(exit 3)\n", true),
        ("$ (exit 3)\n", false),
        ("$ clearinghouse member list\nerror: …\n(exit 2)\n", true),
    ] {
        let faults = faults(&steps(&format!("```console\n{step}```\n")));
        assert_eq!(faults.is_empty(), is_right, "{step}: {faults:?}");
    }
    let faults = faults(&steps(
        "```console other\n$ echo one\none\n```\n```console other\ntwo\n```\n",
    ));
    assert!(faults.len() == 1 && faults[0].contains("story.md:6"), "{faults:?}");
}

#[test]
fn what_the_page_leaves_open_and_what_it_does_not() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (expected, printed, is_right) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a", "", false),
        ("", "a", false),
        ("a…c", "abc", true),
        ("a…c", "ac", true),
        ("a…c", "abcd", false),
        ("…", "", true),
        ("…\nc", "a\nb\nc", true),
        ("a\n…", "b\na", false),
        ("a\n(exit 1)", "a", false),
    ] {
        assert_eq!(
            are_like(&lines(expected), &lines(printed)),
            is_right,
            "{expected:?} {printed:?}"
        );
    }
    let page = "$ no\n```sh\n$ no\n```\n```console\n$ a\n> b\nout\n$ c\n```\n```console hub\n$ d\n```\n```console hub\n^C\n```\n";
    let read: Vec<(String, String, Vec<String>)> = steps(page)
        .into_iter()
        .map(|step| (step.terminal, step.command, step.expected))
        .collect();
    let step =
        |terminal: &str, command: &str, expected: &str| (terminal.to_owned(), command.to_owned(), lines(expected));
    assert_eq!(
        read,
        [
            step("", "a\nb", "out"),
            step("", "c", ""),
            step("hub", "d", ""),
            step("hub", "", "^C")
        ]
    );
}
