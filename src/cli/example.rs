//! Examples at the end of the help, for the commands that people use.

use std::mem;

use clap::Command;

/// A command, and how it is used.
const TABLE: &[(&str, &[&str])] = &[
    ("init", &["kubectl whatsapp init --folder shop -n shop"]),
    (
        "status",
        &[
            "kubectl whatsapp status                         all channels of the namespace",
            "kubectl whatsapp status support-br -n shop --watch",
            "kubectl whatsapp status portfolio/acme -n shop",
            "kubectl whatsapp status -A -l wave=3 -o json",
            "kubectl whatsapp status -A --watch              the fleet after each change",
        ],
    ),
    (
        "waiting",
        &[
            "kubectl whatsapp waiting -A --actor PhoneHolder the list of a help desk",
            "kubectl whatsapp waiting -n shop -o json",
        ],
    ),
    (
        "send-code",
        &[
            "kubectl whatsapp send-code support-br -n shop --wait",
            "kubectl whatsapp send-code -l wave=3 --wait     those that wait for a code",
        ],
    ),
    (
        "code",
        &[
            "kubectl whatsapp code support-br -n shop        asks for the code",
            "kubectl whatsapp code support-br -n shop < code.txt",
        ],
    ),
    ("retry", &["kubectl whatsapp retry support-br -n shop --wait", "kubectl whatsapp retry -l wave=3"]),
    (
        "reconcile",
        &[
            "kubectl whatsapp reconcile support-br -n shop --wait",
            "kubectl whatsapp reconcile portfolio/acme -n shop",
        ],
    ),
    ("suspend", &["kubectl whatsapp suspend support-br -n shop", "kubectl whatsapp suspend -A -l wave=3"]),
    ("resume", &["kubectl whatsapp resume support-br -n shop", "kubectl whatsapp resume -A -l wave=3"]),
    (
        "events",
        &["kubectl whatsapp events support-br -n shop", "kubectl whatsapp events portfolio/acme -n shop"],
    ),
    ("timeline", &["kubectl whatsapp timeline support-br -n shop"]),
    (
        "support-bundle",
        &[
            "kubectl whatsapp support-bundle -n shop > bundle.yaml",
            "kubectl whatsapp support-bundle -A --operator-namespace ops > bundle.yaml",
        ],
    ),
    (
        "explain",
        &[
            "kubectl whatsapp explain CodeAwaited            a reason",
            "kubectl whatsapp explain 133006                 a code of Meta's",
        ],
    ),
];

/// The program with its examples.
pub fn shown(mut program: Command) -> Command {
    for command in program.get_subcommands_mut() {
        let examples = TABLE.iter().find(|(name, _)| *name == command.get_name());
        if let Some((_, lines)) = examples {
            let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
            *command = mem::take(command).after_help(format!("Examples:{lines}"));
        }
    }
    program
}
