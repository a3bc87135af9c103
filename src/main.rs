//! The `preflint` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    preflint::cli::main()
}
