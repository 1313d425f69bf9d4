//! The reference of settings, generated from the programs' command lines.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use super::{cell, head};

const INTRODUCTION: &str = "\
Each program reads its settings from options or from environment variables; options take precedence. `--help` of each program
prints the same as this page. A program does not start with a setting that it cannot parse, and prints which one.

`./dev` and `docker-compose.yml` set the addresses. For your own machine there is an environment file with a comment for each
important setting: [how to run it on a single machine](../how-to/single-machine.md).
";

/// A program, or a subcommand of `downstream`.
#[derive(Debug)]
pub struct Program {
    /// The command that starts it.
    pub name: &'static str,
    /// The settings that it accepts.
    pub settings: Vec<Setting>,
    /// The command line; for a subcommand of `downstream`, with the options of all subcommands.
    pub command: Command,
}

/// A setting of a program.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable.
    pub variable: String,
    /// The option, with its dashes.
    pub option: String,
    default: String,
    help: String,
}

fn program(name: &'static str, command: Command) -> Program {
    let settings = command.get_arguments().filter_map(setting).collect();
    Program { name, settings, command: command.no_binary_name(true) }
}

fn setting(arg: &Arg) -> Option<Setting> {
    let variable = arg.get_env()?.to_string_lossy().into_owned();
    if arg.is_hide_set() {
        return None;
    }
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match defaults.join(",") {
        none if none.is_empty() => "none".to_owned(),
        default => format!("`{default}`"),
    };
    let mut help = cell(&help);
    let values = arg.get_possible_values();
    if !values.is_empty() && values.iter().all(|value| !["true", "false"].contains(&value.get_name())) {
        let names: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let _ = write!(help, " ({})", names.join(", "));
    }
    Some(Setting { variable, option: format!("--{}", arg.get_long()?), default, help })
}

/// Returns every program, and every subcommand of `downstream`.
pub fn programs() -> Vec<Program> {
    let mut programs = vec![
        program("gateway", gateway::Settings::command()),
        program("settlement", settlement::Settings::command()),
    ];
    let downstream = downstream::Settings::command();
    for (name, part) in [
        ("downstream payments", "payments"),
        ("downstream notification", "notification"),
        ("downstream analytics", "analytics"),
        ("downstream provider", "provider"),
    ] {
        // The options of all subcommands come before the subcommand's name on the command line.
        let part = downstream.find_subcommand(part).expect("a subcommand of downstream");
        programs.push(program(name, part.clone().args(downstream.get_arguments().cloned())));
    }
    programs
}

pub(super) fn page() -> String {
    let programs = programs();
    let variables = |program: &Program| -> BTreeSet<String> {
        program.settings.iter().map(|setting| setting.variable.clone()).collect()
    };
    let mut common = variables(&programs[0]);
    for program in &programs {
        common = common.intersection(&variables(program)).cloned().collect();
    }
    let mut page = head("Settings", "the programs' command lines") + INTRODUCTION;
    table(&mut page, "All programs", programs[0].settings.iter().filter(|s| common.contains(&s.variable)));
    for program in &programs {
        let title = format!("`{}`", program.name);
        table(&mut page, &title, program.settings.iter().filter(|s| !common.contains(&s.variable)));
    }
    page
}

fn table<'a>(page: &mut String, title: &str, settings: impl Iterator<Item = &'a Setting>) {
    let _ = write!(page, "\n## {title}\n\n| variable | option | default | |\n|---|---|---|---|\n");
    for Setting { variable, option, default, help } in settings {
        let _ = writeln!(page, "| `{variable}` | `{option}` | {default} | {help} |");
    }
}
