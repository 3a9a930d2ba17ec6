//! The token in a cookie, when the page that sends it may.

use super::Attempt;
use crate::config::Cors;

/// The cookie `name`. A browser adds cookies to what any page asks of us, for a WebSocket too; so one
/// counts only from a page of our own host, one that `[cors]` lets, or what is no browser.
pub(super) fn token<'a>(attempt: &Attempt<'a>, name: Option<&str>, cors: &Cors) -> Option<&'a str> {
    let (name, cookies) = (name?, attempt.cookies?);
    let trusted = attempt.origin.is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        (host.is_some() && host == attempt.host) || cors.lets_cookies(origin)
    });
    if !trusted {
        tracing::debug!("a cookie from a page of another origin does not count");
        return None;
    }
    let values = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
    let (_, value) = values.into_iter().find(|(key, _)| *key == name)?;
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(bare.unwrap_or(value)).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Claim;

    fn of(cookies: &'static str, origin: Option<&'static str>) -> Option<&'static str> {
        let attempt = Attempt {
            claim: Claim::Http(None),
            token: None,
            cookies: Some(cookies),
            origin,
            host: Some("tide.example:31337"),
            address: [127, 0, 0, 1].into(),
        };
        let cors = Cors { origins: vec!["https://app.example".to_owned()], credentials: true };
        token(&attempt, Some("token"), &cors)
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(of("token=a.b.c", None), Some("a.b.c"));
        assert_eq!(of("x=1; token=a=b ;y=token", None), Some("a=b"));
        assert_eq!(of("token=\"a\"", None), Some("a"));
        for none in ["", "token", "token=", "xtoken=a", "Token=a", "x=token"] {
            assert_eq!(of(none, None), None, "{none}");
        }
    }

    #[test]
    fn a_foreign_page_cannot_use_a_cookie() {
        for own in
            ["http://tide.example:31337", "https://tide.example:31337", "https://app.example"]
        {
            assert_eq!(of("token=a", Some(own)), Some("a"), "{own}");
        }
        for foreign in
            ["https://tide.example", "https://evil.example", "http://app.example", "null", ""]
        {
            assert_eq!(of("token=a", Some(foreign)), None, "{foreign}");
        }
    }
}
