//! Columns as wide as their widest cell.

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

    /// The text, one line per row, without trailing space.
    pub fn print(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let mut table = Table::new(&["Name", ">Count", "State"]);
        table.row(vec!["a".into(), "1000000".into(), "up".into()]);
        table.row(vec!["longer".into(), "7".into(), String::new()]);
        assert_eq!(table.print(), "Name      Count  State\na       1000000  up\nlonger        7\n");
    }
}
