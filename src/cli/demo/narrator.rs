//! What the demo says. On a terminal it takes its time; in a check it talks to stderr, since stdout carries the summary.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::cli::output::Output;

/// How long a person needs to read a line.
const PAUSE: Duration = Duration::from_millis(350);

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const HELD: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// The one who speaks.
#[derive(Clone, Copy)]
pub struct Narrator {
    output: Output,
    to_stderr: bool,
    pause: Duration,
}

impl Narrator {
    /// Speaks to a person on stdout, or during a check on stderr.
    pub fn new(output: Output, is_check: bool) -> Narrator {
        let pause = if !is_check && std::io::stdout().is_terminal() {
            PAUSE
        } else {
            Duration::ZERO
        };
        Narrator {
            output,
            to_stderr: is_check,
            pause,
        }
    }

    /// A new scene.
    pub async fn scene(&self, text: &str) {
        self.say("");
        self.say(&self.output.styled(HEADING, text));
        tokio::time::sleep(2 * self.pause).await;
    }

    /// Something that happened.
    pub async fn tell(&self, text: &str) {
        self.say(&format!("  {text}"));
        tokio::time::sleep(self.pause).await;
    }

    /// Somebody got something.
    pub async fn receives(&self, who: &str, what: &str) {
        let mark = self.output.styled(GOOD, &format!("{who:<30} {what}"));
        self.tell(&mark).await;
    }

    /// Somebody did not get something, and why.
    pub async fn withheld(&self, who: &str, why: &str) {
        let mark = self.output.styled(HELD, &format!("{who:<30} nothing"));
        self.tell(&format!("{mark}  {}", self.output.styled(FAINT, why))).await;
    }

    /// Text as it is.
    pub fn say(&self, text: &str) {
        match self.to_stderr {
            true => self.output.note(text),
            // A reader that left does not stop the demo: it still checks and cleans up.
            false => drop(self.output.line(text)),
        }
    }

    /// What a person can do now.
    pub fn next_steps(&self, dir: &Path) {
        if self.to_stderr {
            return;
        }
        let dir = dir.display();
        self.say("");
        self.say(
            &self
                .output
                .styled(HEADING, "Next steps: the hub and the profiles are still there"),
        );
        for line in [
            format!("clearinghouse serve --dir {dir}/hub &"),
            format!("export CLEARINGHOUSE_PROFILE={dir}/profiles/vidora CLEARINGHOUSE_HUB=127.0.0.1:8443"),
            "clearinghouse campaign list".to_owned(),
            "clearinghouse subscribe --filter campaign:Doppelganger --until-live".to_owned(),
            "clearinghouse publish auto 'hxxps://bad[.]example[.]com/page' --tlp green --campaign Test".to_owned(),
            format!("clearinghouse verify --dir {dir}/hub     # offline: stop the hub first"),
            format!("rm -r {dir}"),
        ] {
            self.say(&format!("  {line}"));
        }
    }
}
