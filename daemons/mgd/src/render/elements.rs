//! One JSON object with one long array, written piece by piece.

use serde::Serialize;

/// The array being written.
#[derive(Debug)]
pub struct Elements {
    key: &'static str,
    count: u64,
}

impl Elements {
    /// Begins `{"key": [`.
    pub fn new(key: &'static str) -> Self {
        Self { key, count: 0 }
    }

    /// More elements.
    pub fn push<T: Serialize>(&mut self, elements: &[T]) -> String {
        let mut out = String::new();
        for element in elements {
            out.push_str(&self.separator());
            self.count += 1;
            // Serialising a message of ours to memory cannot fail; null keeps the array well-formed all the same.
            out.push_str(&serde_json::to_string(element).unwrap_or_else(|_| "null".to_owned()));
        }
        out
    }

    fn separator(&self) -> String {
        if self.count == 0 { format!("{{\n  \"{}\": [\n    ", self.key) } else { ",\n    ".to_owned() }
    }

    /// The end of the object.
    pub fn end(&self) -> String {
        if self.count == 0 { format!("{{\n  \"{}\": []\n}}\n", self.key) } else { "\n  ]\n}\n".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_one_object() {
        let mut elements = Elements::new("routes");
        let text = elements.push(&[1, 2]) + &elements.push::<i32>(&[]) + &elements.push(&[3]) + &elements.end();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::json!({"routes": [1, 2, 3]}));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&Elements::new("x").end()).unwrap(),
            serde_json::json!({"x": []})
        );
    }
}
