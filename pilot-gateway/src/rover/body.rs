//! What clients send, read strictly: a body that is not understood moves nothing. Pure.

use super::refused::Refused;
use protocol::intervention::{CAUSE_CHARS_MAX, is_cause};
use protocol::rover::{LAMP_LEVEL_MAX, SPEAK_CHARS_MAX};
use serde_json::Value;

/// Longest body of a request, bytes.
pub const BODY_LEN_MAX: usize = 16 * 1024;

/// A command of `/control`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Command {
    /// Part of the highest speed, −1 (backward) to 1.
    pub linear: f64,
    /// Part of the highest turn rate, −1 to 1, positive to the left.
    pub angular: f64,
    /// Level of the lamp, when the client says one.
    pub lamp: Option<u8>,
}

impl Command {
    /// Whether it asks the robot to stand.
    pub fn is_stop(&self) -> bool {
        self.linear == 0.0 && self.angular == 0.0
    }
}

fn document(bytes: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refused::bad(format!("the body is not JSON: {error}")))
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

fn part(command: &Value, field: &str) -> Result<f64, Refused> {
    let value = match command.get(field) {
        None | Some(Value::Null) => {
            return Err(Refused::bad(format!("command.{field} is missing; it must be a number")));
        }
        Some(value) => value,
    };
    let number = value.as_f64().filter(|number| number.is_finite() && number.abs() <= 1.0);
    number.ok_or_else(|| {
        let got = shown(value);
        Refused::bad(format!("command.{field} is {got}; it must be a number from -1 to 1"))
    })
}

fn lamp(command: &Value) -> Result<Option<u8>, Refused> {
    let value = match command.get("lamp") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let level = (0..=LAMP_LEVEL_MAX).find(|level| value.as_f64() == Some(f64::from(*level)));
    match level {
        Some(level) => Ok(Some(level)),
        None => {
            let got = shown(value);
            Err(Refused::bad(format!("command.lamp is {got}; it must be 0 to {LAMP_LEVEL_MAX}")))
        }
    }
}

/// The body of `/control`: `{"command": {"linear": 0.5, "angular": 0.0, "lamp": 0}}`.
pub fn command(bytes: &[u8]) -> Result<Command, Refused> {
    let not_provided = || Refused::bad("Command not provided");
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(not_provided());
    }
    let body = document(bytes)?;
    let command = body.get("command").ok_or_else(not_provided)?;
    match command {
        Value::Object(members) if !members.is_empty() => {}
        Value::Object(_) | Value::Null => return Err(not_provided()),
        other => {
            let got = shown(other);
            let words = format!("command is {got}; it must be an object with linear and angular");
            return Err(Refused::bad(words));
        }
    }
    Ok(Command {
        linear: part(command, "linear")?,
        angular: part(command, "angular")?,
        lamp: lamp(command)?,
    })
}

/// The body of `/speak`: `{"text": "hi"}`.
pub fn speech(bytes: &[u8]) -> Result<String, Refused> {
    let not_provided = || Refused::bad("Text not provided");
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(not_provided());
    }
    let text = match document(bytes)?.get("text") {
        None | Some(Value::Null) => return Err(not_provided()),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => {
            return Err(Refused::bad(format!("text is {}; it must be a string", shown(other))));
        }
    };
    if text.is_empty() {
        return Err(not_provided());
    }
    if text.chars().nth(SPEAK_CHARS_MAX).is_some() {
        let words = format!("text is too long; it may have {SPEAK_CHARS_MAX} characters");
        return Err(Refused::bad(words));
    }
    Ok(text)
}

/// The body of `/interventions/start`: none, or `{"cause": "the robot was lost"}`, which the original does not have.
pub fn cause(bytes: &[u8]) -> Result<Option<String>, Refused> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match document(bytes)?.get("cause") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_cause(text) => Ok(Some(text.trim().to_owned())),
        Some(other) => {
            let got = shown(other);
            let words =
                format!("cause is {got}; it must be a string of 1 to {CAUSE_CHARS_MAX} characters");
            Err(Refused::bad(words))
        }
    }
}

/// What a client's lamp value asks for, given the last that it sent: nothing, unless it changes it. Many clients
/// send 0 with each command and mean nothing by it.
pub fn lamp_change(last: &mut Option<u8>, sent: Option<u8>) -> Option<u8> {
    let sent = sent?;
    let before = last.replace(sent).unwrap_or(0);
    (sent != before).then_some(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let refused = command(text.as_bytes()).unwrap_err();
        assert_eq!(refused.status(), 400, "{text}");
        refused.detail().as_str().unwrap().to_owned()
    }

    #[test]
    fn a_command_is_read() {
        let text = br#"{"command":{"linear":0.5,"angular":-1,"lamp":0.0,"more":1}}"#;
        let expected = Command { linear: 0.5, angular: -1.0, lamp: Some(0) };
        assert_eq!(command(text), Ok(expected));
        let text = br#"{"command":{"linear":0,"angular":-0.0}}"#;
        assert!(command(text).unwrap().is_stop());
    }

    #[test]
    fn what_is_no_command_is_refused_in_words() {
        for text in ["", " ", "{}", r#"{"command":{}}"#, r#"{"command":null}"#, "[]", "1", "null"] {
            assert_eq!(refusal(text), "Command not provided", "{text}");
        }
        for (text, words) in [
            ("{", "not JSON"),
            (r#"{"command":{"linear":NaN,"angular":0}}"#, "not JSON"),
            (r#"{"command":{"linear":Infinity,"angular":0}}"#, "not JSON"),
            (r#"{"command":{"linear":1e999,"angular":0}}"#, "not JSON"),
            (r#"{"command":{"linear":"0.5","angular":0}}"#, "command.linear is \"0.5\""),
            (r#"{"command":{"linear":1.01,"angular":0}}"#, "command.linear is 1.01"),
            (r#"{"command":{"linear":0,"angular":-7}}"#, "command.angular is -7"),
            (r#"{"command":{"linear":true,"angular":0}}"#, "command.linear is true"),
            (r#"{"command":{"linear":0}}"#, "command.angular is missing"),
            (r#"{"command":{"linear":0,"angular":0,"lamp":9}}"#, "command.lamp is 9"),
            (r#"{"command":{"linear":0,"angular":0,"lamp":"on"}}"#, "command.lamp is \"on\""),
            (r#"{"command":"forward"}"#, "command is \"forward\""),
        ] {
            assert!(refusal(text).contains(words), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn a_text_is_read_or_refused() {
        assert_eq!(speech(br#"{"text":" hi "}"#), Ok("hi".to_owned()));
        for text in ["", "{}", r#"{"text":""}"#, r#"{"text":"  "}"#, r#"{"text":null}"#] {
            let refused = speech(text.as_bytes()).unwrap_err();
            assert_eq!(refused, Refused::bad("Text not provided"), "{text}");
        }
        let long = format!(r#"{{"text":"{}"}}"#, "ä".repeat(SPEAK_CHARS_MAX + 1));
        assert!(speech(long.as_bytes()).is_err());
        assert!(speech(br#"{"text":3}"#).is_err());
    }

    #[test]
    fn the_lamp_is_left_alone_until_the_client_changes_it() {
        let mut last = None;
        let sent = [None, Some(0), Some(0), Some(2), Some(2), None, Some(0)];
        let changes = sent.map(|sent| lamp_change(&mut last, sent));
        assert_eq!(changes, [None, None, None, Some(2), None, None, Some(0)]);
        assert_eq!(lamp_change(&mut None, Some(1)), Some(1));
    }

    #[test]
    fn a_cause_may_be_left_out_and_must_be_words() {
        for none in ["", " ", "{}", "[]", "null", r#"{"cause":null}"#] {
            assert_eq!(cause(none.as_bytes()), Ok(None), "{none}");
        }
        assert_eq!(cause(br#"{"cause":" lost "}"#), Ok(Some("lost".to_owned())));
        let long = format!(r#"{{"cause":"{}"}}"#, "x".repeat(201));
        for wrong in ["{", r#"{"cause":" "}"#, r#"{"cause":7}"#, &long] {
            assert_eq!(cause(wrong.as_bytes()).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
