//! Which servers stand in which datacenter.

use wildmatch::WildMatch;

use super::state::Server;
use crate::model::{DatacenterId, HaproxyServers};
use crate::traffic::ControlError;

/// Finds the servers of every datacenter by the plan's patterns.
///
/// # Errors
/// When a pattern matches no server, or a server stands in two datacenters.
pub(super) fn select<'a>(
    wanted: &[HaproxyServers],
    all: &'a [Server],
) -> Result<Vec<(&'a Server, DatacenterId)>, ControlError> {
    let mut found: Vec<(&Server, DatacenterId, &str)> = Vec::new();
    for servers in wanted {
        for pattern in &servers.patterns {
            let matcher = WildMatch::new(pattern);
            let matches: Vec<&Server> =
                all.iter().filter(|server| matcher.matches(&server.name)).collect();
            if matches.is_empty() {
                return Err(nothing_matches(pattern, all));
            }
            for server in matches {
                match found.iter().find(|(known, ..)| known.name == server.name) {
                    None => found.push((server, servers.datacenter, pattern)),
                    Some((_, datacenter, _)) if *datacenter == servers.datacenter => {}
                    Some((_, _, other)) => return Err(in_two(&server.name, other, pattern)),
                }
            }
        }
    }
    Ok(found.into_iter().map(|(server, datacenter, _)| (server, datacenter)).collect())
}

fn in_two(server: &str, one: &str, other: &str) -> ControlError {
    ControlError {
        what: format!(
            "HAProxy's server `{server}` stands in two datacenters: by `{one}` and by `{other}`"
        ),
        hint: "narrow the patterns under `servers:`".into(),
    }
}

fn nothing_matches(pattern: &str, all: &[Server]) -> ControlError {
    let nearest = all
        .iter()
        .map(|server| (strsim::jaro_winkler(pattern, &server.name), &server.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if all.is_empty() => "it has no servers at all".into(),
        None => {
            let some: Vec<String> =
                all.iter().take(5).map(|server| format!("`{}`", server.name)).collect();
            format!("it has {}{}", some.join(", "), if all.len() > 5 { ", …" } else { "" })
        }
    };
    ControlError { what: format!("no server of HAProxy matches `{pattern}`"), hint }
}

#[cfg(test)]
mod tests {
    use super::super::state::parse;
    use super::*;

    fn servers(names: &[&str]) -> Vec<Server> {
        let rows: String =
            names.iter().map(|name| format!("{} 2 0 1 0\n", name.replace('/', " "))).collect();
        parse(&format!(
            "1\n# be_name srv_name srv_op_state srv_admin_state srv_uweight srv_agent_state\n{rows}"
        ))
        .unwrap()
    }

    fn wanted(patterns: &[(u16, &[&str])]) -> Vec<HaproxyServers> {
        patterns
            .iter()
            .map(|(datacenter, patterns)| HaproxyServers {
                datacenter: DatacenterId(*datacenter),
                patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            })
            .collect()
    }

    #[test]
    fn patterns_find_the_servers_of_a_datacenter_in_every_backend() {
        let all = servers(&["app/a-1", "app/b-1", "api/a-1", "api/other"]);
        let wanted = wanted(&[(0, &["*/a-*", "app/a-1"]), (1, &["app/b-?"])]);
        let found: Vec<(&str, u16)> = select(&wanted, &all)
            .unwrap()
            .into_iter()
            .map(|(server, datacenter)| (server.name.as_str(), datacenter.0))
            .collect();
        assert_eq!(found, [("app/a-1", 0), ("api/a-1", 0), ("app/b-1", 1)]);
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_named_with_what_comes_near() {
        let all = servers(&["app/dc-a-web1", "app/dc-b-web1"]);
        let error = select(&wanted(&[(0, &["app/dc-c-web1"])]), &all).unwrap_err();
        assert!(error.what.contains("`app/dc-c-web1`"), "{error}");
        assert!(error.hint.starts_with("did you mean `app/dc-"), "{error}");
        let error = select(&wanted(&[(0, &["zzz/*"])]), &all).unwrap_err();
        assert_eq!(error.hint, "it has `app/dc-a-web1`, `app/dc-b-web1`");
    }

    #[test]
    fn a_server_in_two_datacenters_is_refused() {
        let all = servers(&["app/web1"]);
        let error = select(&wanted(&[(0, &["app/*"]), (1, &["*/web1"])]), &all).unwrap_err();
        assert!(error.what.contains("`app/*` and by `*/web1`"), "{error}");
    }
}
