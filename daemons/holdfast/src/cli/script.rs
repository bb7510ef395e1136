//! Several commands in one argument: `-c 'configure; set system host-name r1; commit'`.

use super::shell::Shell;

/// Carries out commands up to the first that fails; says whether none did.
pub fn run(shell: &Shell, commands: &str) -> bool {
    let success = split(commands).into_iter().all(|line| shell.run_line(line));
    shell.leave();
    success
}

/// The commands: separated by `;` or ends of lines, unless in quotes. A text without any is one command, which mgd refuses.
fn split(commands: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (index, character) in commands.char_indices() {
        match character {
            '"' if !escaped => quoted = !quoted,
            ';' | '\n' if !quoted => {
                lines.push(commands.get(start..index).unwrap_or_default());
                start = index + 1;
            }
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
    }
    lines.push(commands.get(start..).unwrap_or_default());
    lines.retain(|line| !line.trim().is_empty());
    if lines.is_empty() { vec![commands] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_keep_semicolons() {
        assert_eq!(split("show version"), ["show version"]);
        assert_eq!(split("configure; set a \"b;c\" ;\n commit\n"), ["configure", " set a \"b;c\" ", " commit"]);
        assert_eq!(split("set a \"b\\\";\"; commit"), ["set a \"b\\\";\"", " commit"]);
        assert_eq!(split(""), [""]);
        assert_eq!(split(" ; "), [" ; "]);
    }
}
