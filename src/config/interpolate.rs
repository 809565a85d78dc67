//! `${NAME}` in scalars, after the YAML was parsed: a variable's content is never parsed as YAML.

/// Why a scalar could not be interpolated.
#[derive(Debug, PartialEq, Eq)]
pub enum InterpolateError {
    /// The environment has no such variable and there is no `:-default`.
    Missing(String),
    /// `${` without `}`, or a name that cannot be one.
    Malformed,
}

/// Replaces `${NAME}` and `${NAME:-default}` (the default also when the variable is empty), `$$` by
/// `$`; any other `$` stays as it is. Also says whether anything was replaced.
pub fn interpolate(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(String, bool), InterpolateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut replaced = false;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = after.split_once('}').ok_or(InterpolateError::Malformed)?;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !valid {
                return Err(InterpolateError::Malformed);
            }
            let value = match (env(name), default) {
                (Some(value), Some(default)) if value.is_empty() => default.to_owned(),
                (Some(value), _) => value,
                (None, Some(default)) => default.to_owned(),
                (None, None) => return Err(InterpolateError::Missing(name.to_owned())),
            };
            out.push_str(&value);
            replaced = true;
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok((out, replaced))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("x: ${B}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_once_and_dollars_escape() {
        let run = |text| interpolate(text, &env).map(|(text, _)| text);
        assert_eq!(run("-${A}-").unwrap(), "-x: ${B}-");
        assert_eq!(run("$${A} $5 a$").unwrap(), "${A} $5 a$");
        assert_eq!(run("${NO:-d}${EMPTY:-e}${EMPTY}").unwrap(), "de");
        assert_eq!(run("${NO}"), Err(InterpolateError::Missing("NO".into())));
        assert_eq!(run("${A"), Err(InterpolateError::Malformed));
        assert_eq!(run("${}"), Err(InterpolateError::Malformed));
        assert_eq!(run("${A B}"), Err(InterpolateError::Malformed));
    }
}
