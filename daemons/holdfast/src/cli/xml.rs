//! `| display xml`: the JSON of a view, written as XML.
//!
//! An element for each key, `-` where JSON has `_`; a list is its element repeated. Statements of the configuration, whose names
//! JSON writes behind their module's (RFC 7951), get the module's namespace. A key that is no name in XML is an `entry` with it as
//! an attribute. What is no JSON is told as it came, in one element.

use serde_json::{Deserializer, Map, Value};

/// Most bytes of JSON that are held to be written anew.
pub const XML_BYTES_MAX: usize = 64 << 20;

/// The element around everything.
const ROOT: &str = "output";
/// For members of lists in lists, and keys that are no names.
const ENTRY: &str = "entry";

/// The lines of a JSON text's XML.
pub fn lines(json: &str) -> Vec<String> {
    let values: Result<Vec<Value>, _> = Deserializer::from_str(json).into_iter().collect();
    let mut out = vec![format!("<{ROOT}>")];
    match values {
        Ok(values) => values.iter().for_each(|value| content(value, ENTRY, 1, &mut out)),
        Err(_) => out.push(escaped(json.trim_end())),
    }
    out.push(format!("</{ROOT}>"));
    out
}

/// What an element holds: an object's members, or a list's.
fn content(value: &Value, name: &str, depth: usize, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => object(members, depth, out),
        Value::Array(values) => values.iter().for_each(|value| element(name, value, depth, out)),
        plain => element(name, plain, depth, out),
    }
}

fn object(members: &Map<String, Value>, depth: usize, out: &mut Vec<String>) {
    for (name, value) in members {
        match value {
            Value::Array(values) => values.iter().for_each(|value| element(name, value, depth, out)),
            value => element(name, value, depth, out),
        }
    }
}

fn element(name: &str, value: &Value, depth: usize, out: &mut Vec<String>) {
    let (indent, (open, close)) = ("  ".repeat(depth), tags(name));
    match value {
        Value::Object(members) if members.is_empty() => out.push(format!("{indent}<{open}/>")),
        Value::Array(values) if values.is_empty() => {}
        Value::Null => out.push(format!("{indent}<{open}/>")),
        Value::Object(_) | Value::Array(_) => {
            out.push(format!("{indent}<{open}>"));
            content(value, ENTRY, depth + 1, out);
            out.push(format!("{indent}</{close}>"));
        }
        Value::String(text) => out.push(format!("{indent}<{open}>{}</{close}>", escaped(text))),
        plain => out.push(format!("{indent}<{open}>{plain}</{close}>")),
    }
}

/// What stands in the tags at both ends.
fn tags(name: &str) -> (String, String) {
    let (module, local) = name.split_once(':').unwrap_or(("", name));
    let local = local.replace('_', "-");
    let inside = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    if !local.starts_with(|letter: char| letter.is_ascii_alphabetic()) || !local.chars().all(inside) {
        return (format!("{ENTRY} name=\"{}\"", escaped(name)), ENTRY.to_owned());
    }
    match module.strip_prefix("holdfast-") {
        Some(module) => (format!("{local} xmlns=\"urn:holdfast:yang:{}\"", escaped(module)), local),
        None => (local.clone(), local),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            // XML 1.0 has no way to write them.
            control if control.is_control() => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view() {
        let json = r#"{"router_id": "10.0.0.1", "neighbors": [{"address": "a<b", "families": [], "up": true, "med": null}, {"flaps": 2}], "2x": {}}"#;
        let expected = [
            "<output>",
            "  <router-id>10.0.0.1</router-id>",
            "  <neighbors>",
            "    <address>a&lt;b</address>",
            "    <up>true</up>",
            "    <med/>",
            "  </neighbors>",
            "  <neighbors>",
            "    <flaps>2</flaps>",
            "  </neighbors>",
            "  <entry name=\"2x\"/>",
            "</output>",
        ];
        assert_eq!(lines(json), expected);
    }

    #[test]
    fn a_configuration_has_its_modules_namespaces() {
        let json = r#"{"holdfast-system:system": {"host-name": "r1", "up": [null], "lists": [[1, 2]]}}"#;
        let expected = [
            "<output>",
            "  <system xmlns=\"urn:holdfast:yang:system\">",
            "    <host-name>r1</host-name>",
            "    <up/>",
            "    <lists>",
            "      <entry>1</entry>",
            "      <entry>2</entry>",
            "    </lists>",
            "  </system>",
            "</output>",
        ];
        assert_eq!(lines(json), expected);
    }

    #[test]
    fn what_is_no_json_and_several_values() {
        assert_eq!(lines("done & gone\n"), ["<output>", "done &amp; gone", "</output>"]);
        assert_eq!(lines("{\"a\":1}\n{\"a\":2}\n"), ["<output>", "  <a>1</a>", "  <a>2</a>", "</output>"]);
        assert_eq!(lines(""), ["<output>", "</output>"]);
        assert_eq!(lines("\"\u{1}\""), ["<output>", "&quot;\u{fffd}&quot;", "</output>"]);
    }
}
