//! Figures of all rounds -> medians, ratios, targets.

use serde::{Deserialize, Serialize};

use crate::Outcome;

/// Probes that differ by more than this factor tell of a disk that is not quiet.
const NOISY: f64 = 1.3;

/// One number that a case found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The case.
    pub(crate) case: String,
    /// What was measured.
    pub(crate) what: String,
    /// Of what unit the number is.
    pub(crate) unit: String,
    /// The engine's.
    pub(crate) engine: f64,
    /// What the probe found.
    pub(crate) probe: Option<Probes>,
    /// How the two are compared.
    pub(crate) compare: Compare,
    /// What is to be reached, by what comes out of comparing.
    pub(crate) target: Option<Target>,
}

/// The probe's numbers, right before and right after.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Probes {
    pub(crate) before: f64,
    pub(crate) after: f64,
}

impl Probes {
    fn mean(self) -> f64 {
        f64::midpoint(self.before, self.after)
    }

    fn is_noisy(self) -> bool {
        self.before.max(self.after) > NOISY * self.before.min(self.after)
    }
}

/// How a figure is compared with the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Compare {
    /// It stands for itself.
    Alone,
    /// Engine over probe.
    Over,
    /// Engine less probe.
    Above,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Figure {
    /// A figure that stands for itself.
    pub(crate) fn alone(what: &str, unit: &str, engine: f64) -> Self {
        Self {
            case: String::new(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            engine,
            probe: None,
            compare: Compare::Alone,
            target: None,
        }
    }

    /// A figure beside the probe's.
    pub(crate) fn over(what: &str, unit: &str, engine: f64, probe: Probes) -> Self {
        Self { probe: Some(probe), compare: Compare::Over, ..Self::alone(what, unit, engine) }
    }

    /// As [`Self::over`]; what counts is how much the probe lies below.
    pub(crate) fn above(what: &str, unit: &str, engine: f64, probe: Probes) -> Self {
        Self { compare: Compare::Above, ..Self::over(what, unit, engine, probe) }
    }

    pub(crate) fn at_least(self, bound: f64) -> Self {
        Self { target: Some(Target::AtLeast(bound)), ..self }
    }

    pub(crate) fn at_most(self, bound: f64) -> Self {
        Self { target: Some(Target::AtMost(bound)), ..self }
    }

    /// What comes out of comparing.
    fn compared(&self) -> f64 {
        match (self.compare, self.probe) {
            (Compare::Over, Some(probe)) => self.engine / probe.mean(),
            (Compare::Above, Some(probe)) => self.engine - probe.mean(),
            (Compare::Alone, _) | (Compare::Over | Compare::Above, None) => self.engine,
        }
    }

    /// Refuses numbers that no measurement gives.
    pub(crate) fn check(&self) -> Outcome<()> {
        let probes = self.probe.map_or([1.0; 2], |probe| [probe.before, probe.after]);
        let fine = self.engine.is_finite()
            && self.engine >= 0.0
            && probes.iter().all(|probe| probe.is_finite() && *probe > 0.0);
        if fine { Ok(()) } else { Err(format!("not a figure: {self:?}").into()) }
    }

    /// One line for the terminal.
    pub(crate) fn brief(&self) -> String {
        let mut line = format!("{}: {} {}", self.what, number(self.engine), self.unit);
        if let Some(probe) = self.probe {
            let around = format!("{}, {}", number(probe.before), number(probe.after));
            let noisy = if probe.is_noisy() { ", noisy" } else { "" };
            line += &format!(" (probe {around}{noisy}): {}", self.form(self.compared()));
        }
        line
    }

    fn form(&self, value: f64) -> String {
        match self.compare {
            Compare::Alone => format!("{} {}", number(value), self.unit),
            Compare::Over => format!("{value:.2}"),
            Compare::Above => {
                let sign = if value < 0.0 { "-" } else { "+" };
                format!("{sign}{} {}", number(value.abs()), self.unit)
            }
        }
    }
}

/// One figure over all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    /// The medians.
    median: Figure,
    /// The median of what came out of comparing, round by round, and the extremes.
    compared: f64,
    lowest: f64,
    highest: f64,
    rounds: usize,
    /// Rounds whose probes differ too much.
    noisy: usize,
    reached: Option<bool>,
}

/// The medians of every figure, in the order of the first round that has it.
pub(crate) fn summarise(rounds: &[Vec<Figure>]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for figure in rounds.iter().flatten() {
        let same = |other: &Figure| other.case == figure.case && other.what == figure.what;
        if lines.iter().any(|line| same(&line.median)) {
            continue;
        }
        let all: Vec<&Figure> = rounds.iter().flatten().filter(|other| same(other)).collect();
        let of = |pick: &dyn Fn(&Figure) -> f64| median(all.iter().map(|f| pick(f)).collect());
        let compared = of(&Figure::compared);
        let probe = figure.probe.map(|_| Probes {
            before: of(&|f| f.probe.map_or(0.0, |probe| probe.before)),
            after: of(&|f| f.probe.map_or(0.0, |probe| probe.after)),
        });
        lines.push(Line {
            median: Figure { engine: of(&|f| f.engine), probe, ..figure.clone() },
            compared,
            lowest: all.iter().map(|f| f.compared()).fold(f64::INFINITY, f64::min),
            highest: all.iter().map(|f| f.compared()).fold(f64::NEG_INFINITY, f64::max),
            rounds: all.len(),
            noisy: all.iter().filter(|f| f.probe.is_some_and(Probes::is_noisy)).count(),
            reached: figure.target.map(|target| target.is_reached(compared)),
        });
    }
    lines
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
    if numbers.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle - 1), at(middle)) }
}

/// The table, as Markdown.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut out = String::from(
        "| case | figure | engine | probe before, after | engine / probe | target | reached |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let figure = &line.median;
        let mut around = figure.probe.map_or_else(String::new, |probe| {
            format!("{}, {}", number(probe.before), number(probe.after))
        });
        if line.noisy > 0 {
            around += &format!(" (noisy in {} of {})", line.noisy, line.rounds);
        }
        let spread = if line.rounds > 1 {
            format!(" ({} to {})", figure.form(line.lowest), figure.form(line.highest))
        } else {
            String::new()
        };
        let compared = match figure.compare {
            Compare::Alone => spread.trim().to_owned(),
            Compare::Over | Compare::Above => figure.form(line.compared) + &spread,
        };
        let target = figure.target.map_or_else(String::new, |target| match target {
            Target::AtLeast(bound) => format!("at least {}", figure.form(bound)),
            Target::AtMost(bound) => format!("at most {}", figure.form(bound)),
        });
        let reached = line.reached.map_or("", |reached| if reached { "yes" } else { "**no**" });
        let value = format!("{} {}", number(figure.engine), figure.unit);
        out += &format!(
            "| {} | {} | {} | {around} | {compared} | {target} | {reached} |\n",
            figure.case,
            figure.what,
            value.trim_end(),
        );
    }
    out
}

/// With as many digits as it deserves, and commas.
fn number(value: f64) -> String {
    let text = if value.abs() < 10.0 {
        format!("{value:.2}")
    } else if value.abs() < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    };
    let (whole, rest) = text.split_once('.').map_or((&*text, ""), |(whole, rest)| (whole, rest));
    let mut out = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if place > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out
}
