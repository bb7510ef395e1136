//! Configure mode from the client's side: several commands in one argument, prompts, texts that are read, files.

use crate::{cli, fakes::Router, terminal::Terminal, text};

#[test]
fn several_commands_stop_at_the_first_failure() {
    let router = Router::start();
    let output = cli(&router, &["-c", "configure; set a \"b;  c\"\nedit system;show | compare rollback 2; exit"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = "entered\n[] set a \"b;  c\" (text)\n[system] show (compare rollback 2)\nleft\n";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "");

    let output = cli(&router, &["-c", "configure; wrong; set a"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "entered\n", "nothing behind the failure is carried out");
    assert!(text(&output.stderr).starts_with("error: no\nwarning: the changes are not committed; they are kept"));
}

#[test]
fn what_another_mgd_has_to_do_is_asked_again() {
    let router = Router::start();
    let output = cli(&router, &["-c", "configure; commit; exit"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "entered\ncommit complete\nleft\n");
}

#[test]
fn texts_are_read_and_files_written() {
    let router = Router::start();
    let output = cli(&router, &["-c", "configure; load merge terminal; exit"], "system {\n}\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "entered\n\"system {\\n}\\n\"\nleft\n");
    let file = router.run_dir().join("saved.conf");
    let output = cli(&router, &["-c", &format!("configure; save {}; exit", file.display())], "");
    assert_eq!(text(&output.stdout), format!("entered\nWrote 1 lines to {}\nleft\n", file.display()));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "text\n");
}

#[test]
fn a_session_in_configure_mode() {
    let router = Router::start();
    let mut terminal = Terminal::start(&router);
    terminal.shows("@r1> ");
    terminal.types("configure\r");
    terminal.shows("entered\r\n\r\n[edit]\r\n");
    terminal.shows("@r1# ");
    terminal.types("edit system\r");
    terminal.shows("[edit system]\r\n");
    terminal.shows("@r1# ");
    terminal.types("load merge terminal\r");
    terminal.shows("[Type ^D to end]");
    terminal.types("a {\rb;\r\x04");
    terminal.shows("\"a {\\nb;\\n\"");
    terminal.shows("@r1# ");
    terminal.types("exit configuration-mode\r");
    terminal.shows("Exit with uncommitted changes? ");
    terminal.types("no\r");
    terminal.shows("Nothing was done");
    terminal.shows("@r1# ");
    terminal.types("exit\r");
    terminal.shows("left");
    terminal.shows("@r1> ");
}
