//! The command line, and how much work the cases do.

use std::path::PathBuf;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Names of cases, or beginnings of names; empty means all.
    pub(crate) only: Vec<String>,
    /// How often each case runs.
    pub(crate) rounds: usize,
    /// Where the results go, besides the table.
    pub(crate) json: Option<PathBuf>,
    /// Where the data goes. Each case makes a folder in it and removes it.
    pub(crate) dir: PathBuf,
    /// Only say what there is.
    pub(crate) list: bool,
    /// For a moment only.
    pub(crate) test: bool,
    /// How much work.
    pub(crate) scale: Scale,
    /// What this process does.
    pub(crate) part: Part,
}

/// What one process does of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Starts the others.
    All,
    /// One case.
    Case(String),
    /// Fills a folder and kills itself while it writes.
    Fill,
    /// Opens a filled folder and kills itself.
    Open,
    /// Opens a folder of idle logs.
    Reopen,
}

/// How much work the cases do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Of one measurement.
    pub(crate) seconds: f64,
    /// Length of a segment.
    pub(crate) segment_bytes: u64,
    /// What the readers read, and what the wear is measured on.
    pub(crate) data_bytes: u64,
    /// Logs at once.
    pub(crate) logs: u64,
    /// Small logs that rest.
    pub(crate) cold_logs: u64,
    /// Subjects of one log.
    pub(crate) subjects: u64,
    /// Logs that do nothing.
    pub(crate) idle_logs: u64,
    /// What is stored before a restart.
    pub(crate) restart_bytes: u64,
}

const FULL: Scale = Scale {
    seconds: 5.0,
    segment_bytes: 64 << 20,
    data_bytes: 1 << 30,
    logs: 1_000,
    cold_logs: 2_000,
    subjects: 1_000_000,
    idle_logs: 1_000_000,
    restart_bytes: 10_000_000_000,
};

const TEST: Scale = Scale {
    seconds: 0.2,
    segment_bytes: 1 << 20,
    data_bytes: 6 << 20,
    logs: 50,
    cold_logs: 50,
    subjects: 2_500,
    idle_logs: 2_000,
    restart_bytes: 12 << 20,
};

impl Options {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    ///
    /// One line about the argument that cannot be understood.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let arguments: Vec<String> = arguments.collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        // `cargo bench` says so; `cargo test` says nothing.
        let test = has("--test") || !has("--bench");
        let mut options = Self {
            only: Vec::new(),
            rounds: 1,
            json: None,
            dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
            list: has("--list"),
            test,
            scale: if test { TEST } else { FULL },
            part: Part::All,
        };
        let mut rest = arguments.into_iter().peekable();
        while let Some(argument) = rest.next() {
            let mut value =
                || rest.next().ok_or_else(|| format!("{argument} needs a value behind it"));
            match &*argument {
                "--bench" | "--test" | "--list" => {}
                "--only" => {
                    options.only.push(value()?);
                    while let Some(name) = rest.next_if(|next| !next.starts_with("--")) {
                        options.only.push(name);
                    }
                }
                "--seconds" => options.scale.seconds = number(&argument, &value()?)?,
                "--rounds" => options.rounds = whole(&argument, &value()?)?.max(1),
                "--json" => options.json = Some(value()?.into()),
                "--dir" => options.dir = value()?.into(),
                "--restart-gb" => {
                    let megabytes = 1000.0 * number(&argument, &value()?)?;
                    // At most 86,400,000 after the check in `number`.
                    options.scale.restart_bytes = megabytes as u64 * 1_000_000;
                }
                "--part" => options.part = Part::parse(&value()?),
                name if !name.starts_with("--") => options.only.push(name.to_owned()),
                _ => return Err(format!("{argument} is not known: see the bench's module text")),
            }
        }
        Ok(options)
    }

    /// The arguments that make a process do `part` of this in `dir`.
    pub(crate) fn arguments(&self, part: &Part, dir: &std::path::Path) -> Vec<String> {
        let mut all = vec![if self.test { "--test" } else { "--bench" }.to_owned()];
        let mut add = |name: &str, value: String| all.extend([name.to_owned(), value]);
        add("--seconds", self.scale.seconds.to_string());
        add("--restart-gb", (self.scale.restart_bytes as f64 / 1e9).to_string());
        add("--dir", dir.display().to_string());
        add("--part", part.name());
        all
    }
}

impl Part {
    fn name(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Fill => "fill".to_owned(),
            Self::Open => "open".to_owned(),
            Self::Reopen => "reopen".to_owned(),
            Self::Case(name) => format!("case:{name}"),
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "fill" => Self::Fill,
            "open" => Self::Open,
            "reopen" => Self::Reopen,
            "all" => Self::All,
            case => Self::Case(case.trim_start_matches("case:").to_owned()),
        }
    }
}

fn number(name: &str, text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| *n > 0.0 && *n <= 86_400.0);
    number.ok_or_else(|| format!("{name} takes a number above 0, not {text}"))
}

fn whole(name: &str, text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{name} takes a whole number, not {text}"))
}
