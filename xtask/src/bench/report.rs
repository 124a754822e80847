//! The report: what the goals are and whether they are met, then every number, as aligned text or
//! Markdown.

use super::outcome::{LoadScore, Outcome, Score};

/// One line per row: ours against the base, and the goal.
pub(super) fn verdicts(outcomes: &[Outcome], markdown: bool) -> String {
    let header = ["work", "compared", "ratio", "goal", "reached"]
        .map(String::from)
        .to_vec();
    let lines = outcomes.iter().map(|outcome| {
        vec![
            outcome.row.clone(),
            outcome.metric.to_string(),
            format!("{:.2}", outcome.ratio),
            outcome.goal.clone(),
            match (&outcome.problem, outcome.reached) {
                (Some(_), _) => "failed",
                (None, true) => "yes",
                (None, false) => "no",
            }
            .to_string(),
        ]
    });
    table(header, lines.collect(), markdown)
}

/// A column of the table of numbers: its title and what it shows of a server.
type Column = (&'static str, fn(&Score) -> String);

const COLUMNS: &[Column] = &[
    ("server", |score| score.label.clone()),
    ("CPU us/op lowest", |score| {
        of_load(score, |load| format!("{:.2}", load.cpu_us_lowest))
    }),
    ("median", |score| {
        of_load(score, |load| format!("{:.2}", load.cpu_us_median))
    }),
    ("op/s highest", |score| {
        of_load(score, |load| format!("{:.0}", load.per_second_highest))
    }),
    ("median", |score| {
        of_load(score, |load| format!("{:.0}", load.per_second_median))
    }),
    ("p50 ms", |score| {
        of_load(score, |load| milliseconds(load.p50_us))
    }),
    ("p99 ms", |score| {
        of_load(score, |load| milliseconds(load.p99_us))
    }),
    ("p99.9 ms", |score| {
        of_load(score, |load| milliseconds(load.p999_us))
    }),
    ("load us/op", |score| {
        of_load(score, |load| format!("{:.2}", load.generator_cpu_us))
    }),
    ("load busy", |score| {
        of_load(score, |load| {
            format!("{:.0} %", load.generator_busy * 100.0)
        })
    }),
    ("bytes/key", |score| format!("{:.1}", score.bytes_per_key)),
];

/// One line per row and server: everything measured.
pub(super) fn numbers(outcomes: &[Outcome], markdown: bool) -> String {
    let titles = COLUMNS.iter().map(|(title, _)| title.to_string());
    let header = std::iter::once("work".to_string()).chain(titles).collect();
    let mut lines = Vec::new();
    for outcome in outcomes {
        for score in &outcome.servers {
            let cells = COLUMNS.iter().map(|(_, show)| show(score));
            lines.push(std::iter::once(outcome.row.clone()).chain(cells).collect());
        }
    }
    table(header, lines, markdown)
}

fn of_load(score: &Score, show: fn(&LoadScore) -> String) -> String {
    score.load.as_ref().map_or_else(|| "-".to_string(), show)
}

fn milliseconds(microseconds: f64) -> String {
    format!("{:.3}", microseconds / 1e3)
}

/// Aligns cells in columns, with bars between them for Markdown.
pub(super) fn table(header: Vec<String>, lines: Vec<Vec<String>>, markdown: bool) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = lines.iter().chain([&header]).map(|line| line[column].len());
            cells.max().unwrap_or(0)
        })
        .collect();
    let render = |line: &[String]| {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        if markdown {
            format!("| {} |\n", cells.join(" | "))
        } else {
            cells.join("  ") + "\n"
        }
    };
    let mut text = render(&header);
    if markdown {
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        text.push_str(&render(&rule));
    }
    for line in &lines {
        text.push_str(&render(line));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        let plain = table(words("a bb"), vec![words("ccc d")], false);
        assert_eq!(plain, "a    bb\nccc  d \n");
        let markdown = table(words("a bb"), vec![words("ccc d")], true);
        assert_eq!(markdown, "| a   | bb |\n| --- | -- |\n| ccc | d  |\n");
    }
}
