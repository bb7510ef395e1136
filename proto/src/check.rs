//! Pre-checks in one form, whoever makes them: what is required is said once, what was observed each time.

use crate::v1::Check;

/// A check before its observation.
#[derive(Debug, Clone)]
pub struct Rule {
    check: Check,
}

impl Rule {
    /// A check that refuses a run when it is not passed.
    pub fn refuses(id: &str, title: &str, required: impl Into<String>) -> Self {
        let check = Check { id: id.to_owned(), title: title.to_owned(), required: required.into(), ..Check::default() };
        Self { check: Check { severity: "error".to_owned(), ..check } }
    }

    /// A check that only asks when it is not passed.
    pub fn asks(id: &str, title: &str, required: impl Into<String>) -> Self {
        let mut rule = Self::refuses(id, title, required);
        rule.check.warning = true;
        rule.check.severity = "warning".to_owned();
        rule
    }

    /// The command that mends it.
    pub fn remedy(mut self, command: impl Into<String>) -> Self {
        self.check.remedy = command.into();
        self
    }

    /// Mending it disturbs traffic.
    pub fn disturbing(mut self) -> Self {
        self.check.remedy_disturbs_traffic = true;
        self
    }

    /// The check with what was seen. What mends it is only said when there is something to mend.
    pub fn found(self, passed: bool, observed: impl Into<String>) -> Check {
        let mut check = self.check;
        check.passed = passed;
        check.observed = observed.into();
        check.value = match (passed, check.warning) {
            (true, _) => "Valid",
            (false, true) => "Warning",
            (false, false) => "Invalid",
        }
        .to_owned();
        if passed {
            check.remedy.clear();
            check.remedy_disturbs_traffic = false;
        }
        check
    }

    /// Passed with what was seen, or not passed with what is wrong.
    pub fn observe(self, observed: Result<String, String>) -> Check {
        match observed {
            Ok(observed) => self.found(true, observed),
            Err(observed) => self.found(false, observed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_mends_it_only_when_it_is_not_passed() {
        let rule = Rule::refuses("disk", "Disk", "1 MiB free").remedy("delete something").disturbing();
        let passed = rule.clone().found(true, "2 MiB free");
        assert_eq!((passed.value.as_str(), passed.remedy.as_str()), ("Valid", ""));
        assert!(!passed.remedy_disturbs_traffic);
        let failed = rule.observe(Err("nothing free".into()));
        assert_eq!((failed.value.as_str(), failed.severity.as_str()), ("Invalid", "error"));
        assert!(failed.remedy_disturbs_traffic && !failed.warning && !failed.remedy.is_empty());
        let asked = Rule::asks("alarms", "Alarms", "none").found(false, "1");
        assert_eq!((asked.value.as_str(), asked.severity.as_str(), asked.warning), ("Warning", "warning", true));
    }
}
