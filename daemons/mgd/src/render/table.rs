//! Columns as wide as their widest cell.

/// Below this a column of words is not worth breaking.
const WORDS_COLUMNS_MIN: usize = 16;

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table being filled.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns by title; a title that begins with `>` is a column of numbers.
    pub fn new(titles: &[&str]) -> Self {
        let columns =
            titles.iter().map(|title| if title.starts_with('>') { Align::Right } else { Align::Left }).collect();
        let heading = titles.iter().map(|title| title.trim_start_matches('>').to_owned()).collect();
        Self { columns, rows: vec![heading] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The text for a terminal of that width: the last column, where it is of words, goes on below itself. 0: any width.
    pub fn print_within(&self, columns: usize) -> String {
        let last = self.columns.len().saturating_sub(1);
        let before: usize = (0..last).map(|column| self.width(column) + 2).sum();
        let room = columns.saturating_sub(before);
        if columns == 0 || self.columns.last() != Some(&Align::Left) || room < WORDS_COLUMNS_MIN {
            return self.print();
        }
        let mut wrapped = Self { columns: self.columns.clone(), rows: Vec::new() };
        for row in &self.rows {
            let pieces = wrap(row.get(last).map_or("", String::as_str), room);
            for (index, piece) in pieces.into_iter().enumerate() {
                let mut part = if index == 0 { row.clone() } else { vec![String::new(); row.len()] };
                if let Some(cell) = part.get_mut(last) {
                    *cell = piece;
                }
                wrapped.rows.push(part);
            }
        }
        wrapped.print()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    /// The text, one line per row, without trailing space.
    pub fn print(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(&widths).zip(&self.columns) {
                let width = *width;
                match align {
                    Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// A text in lines of at most that many characters, broken between words; a word that is longer stands alone. 0: one line.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let used = lines.last().map_or(0, |line| line.chars().count());
        if columns > 0 && used > 0 && used + 1 + word.chars().count() > columns {
            lines.push(word.to_owned());
        } else if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_goes_on_below_itself() {
        let mut table = Table::new(&["Name", "Reason"]);
        table.row(vec!["a".into(), "one two three four five six".into()]);
        table.row(vec!["b".into(), String::new()]);
        assert_eq!(table.print_within(22), "Name  Reason\na     one two three\n      four five six\nb\n");
        assert_eq!(table.print_within(0), table.print());
        assert_eq!(table.print_within(10), table.print(), "too narrow to be of use");
        assert_eq!(wrap("a-very-long-word b", 4), ["a-very-long-word", "b"]);
        assert_eq!(wrap("a b c", 0), ["a b c"]);
    }

    #[test]
    fn columns_align() {
        let mut table = Table::new(&["Name", ">Count", "State"]);
        table.row(vec!["a".into(), "1000000".into(), "up".into()]);
        table.row(vec!["longer".into(), "7".into(), String::new()]);
        assert_eq!(table.print(), "Name      Count  State\na       1000000  up\nlonger        7\n");
    }
}
