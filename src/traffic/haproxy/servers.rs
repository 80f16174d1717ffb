//! Which servers stand in which datacenter.

use std::collections::BTreeSet;

use wildmatch::WildMatch;

use super::state::Server;
use crate::model::{DatacenterId, HaproxyServers};
use crate::traffic::{ControlError, Survivors};

/// Finds the servers of every datacenter by the plan's patterns. One that matches nothing finds nothing.
///
/// # Errors
/// When a server stands in two datacenters.
pub(super) fn select<'a>(
    wanted: &[HaproxyServers],
    all: &'a [Server],
) -> Result<Vec<(&'a Server, DatacenterId)>, ControlError> {
    let mut found: Vec<(&Server, DatacenterId, &str)> = Vec::new();
    for servers in wanted {
        for pattern in &servers.patterns {
            let matcher = WildMatch::new(pattern);
            for server in all.iter().filter(|server| matcher.matches(&server.name)) {
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

/// The servers that stand in one datacenter. What another hand adds that stands in two must not keep us from what is ours.
pub(super) fn placed<'a>(
    wanted: &[HaproxyServers],
    all: &'a [Server],
) -> Vec<(&'a Server, DatacenterId)> {
    let one = |server: &'a Server| select(wanted, std::slice::from_ref(server)).ok()?.pop();
    all.iter().filter_map(one).collect()
}

/// Holds that every pattern of the plan matches a server.
///
/// # Errors
/// When one matches none.
pub(super) fn all_match(wanted: &[HaproxyServers], all: &[Server]) -> Result<(), ControlError> {
    for pattern in wanted.iter().flat_map(|servers| &servers.patterns) {
        let matcher = WildMatch::new(pattern);
        if !all.iter().any(|server| matcher.matches(&server.name)) {
            return Err(nothing_matches(pattern, all));
        }
    }
    Ok(())
}

/// Who serves on without `datacenters`, backend by backend.
///
/// Servers stand in for each other within a backend. A backend that has servers of those
/// alone is stood in for by servers of the plan's other datacenters in other backends, if there are any;
/// else nobody here can tell.
///
/// # Errors
/// When a server stands in two datacenters.
pub(super) fn survivors(
    wanted: &[HaproxyServers],
    all: &[Server],
    datacenters: &[DatacenterId],
) -> Result<Vec<Survivors>, ControlError> {
    let known = select(wanted, all)?;
    let lost: BTreeSet<&str> = known
        .iter()
        .filter(|(_, at)| datacenters.contains(at))
        .map(|(server, _)| server.name.as_str())
        .collect();
    let backends: BTreeSet<&str> = known
        .iter()
        .filter(|(server, _)| lost.contains(server.name.as_str()))
        .map(|(server, _)| server.backend())
        .collect();
    let elsewhere: Vec<&Server> = known
        .iter()
        .filter(|(_, at)| !datacenters.contains(at))
        .map(|(server, _)| *server)
        .collect();
    let mut judged = Vec::new();
    for backend in backends {
        let beside: Vec<&Server> = all
            .iter()
            .filter(|server| server.backend() == backend && !lost.contains(server.name.as_str()))
            .collect();
        let stand_in = if beside.is_empty() { &elsewhere } else { &beside };
        if !stand_in.is_empty() {
            let left = stand_in.iter().filter(|server| server.serves()).count();
            judged.push(Survivors { group: format!("backend {backend}"), left });
        }
    }
    Ok(judged)
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
        let error = all_match(&wanted(&[(0, &["app/dc-c-web1"])]), &all).unwrap_err();
        assert!(error.what.contains("`app/dc-c-web1`"), "{error}");
        assert!(error.hint.starts_with("did you mean `app/dc-"), "{error}");
        let error = all_match(&wanted(&[(0, &["zzz/*"])]), &all).unwrap_err();
        assert_eq!(error.hint, "it has `app/dc-a-web1`, `app/dc-b-web1`");
    }

    #[test]
    fn a_server_in_two_datacenters_is_refused() {
        let all = servers(&["app/web1"]);
        let error = select(&wanted(&[(0, &["app/*"]), (1, &["*/web1"])]), &all).unwrap_err();
        assert!(error.what.contains("`app/*` and by `*/web1`"), "{error}");
    }

    #[test]
    fn a_server_in_two_datacenters_keeps_us_from_no_other() {
        let all = servers(&["app/a-1", "app/a-b", "app/b-1"]);
        let found = placed(&wanted(&[(0, &["app/a-*"]), (1, &["app/b-*", "app/*-b"])]), &all);
        let found: Vec<_> = found.into_iter().map(|(it, at)| (it.name.as_str(), at.0)).collect();
        assert_eq!(found, [("app/a-1", 0), ("app/b-1", 1)]);
    }

    fn left(rows: &str, patterns: &[(u16, &[&str])]) -> Vec<(String, usize)> {
        let header =
            "1\n# be_name srv_name srv_op_state srv_admin_state srv_uweight srv_agent_state";
        let all = parse(&format!("{header}\n{rows}")).unwrap();
        let judged = survivors(&wanted(patterns), &all, &[DatacenterId(0)]).unwrap();
        judged.into_iter().map(|survivors| (survivors.group, survivors.left)).collect()
    }

    #[test]
    fn only_servers_that_are_up_and_open_serve_on() {
        let patterns: &[(u16, &[&str])] = &[(0, &["*/a"]), (1, &["*/b"])];
        for (other, count) in [("2 0 1 0", 1), ("0 0 1 0", 0), ("2 1 1 0", 0), ("2 0 0 0", 0)] {
            let rows = format!("app a 2 0 1 0\napp b {other}\n");
            assert_eq!(left(&rows, patterns), [("backend app".to_owned(), count)], "{other}");
        }
        let backup = left("app a 2 0 1 0\napp b 0 0 1 0\napp spare 2 0 1 0\n", patterns);
        assert_eq!(backup[0].1, 1, "one that the plan does not name serves too");
    }

    #[test]
    fn a_backend_of_one_datacenter_is_stood_in_for_by_the_others_backends() {
        let patterns: &[(u16, &[&str])] = &[(0, &["east/*"]), (1, &["west/*"])];
        let two = |west| format!("east a 2 0 1 0\nwest b {west}\n");
        assert_eq!(left(&two("2 0 1 0"), patterns), [("backend east".to_owned(), 1)]);
        assert_eq!(left(&two("0 0 1 0"), patterns), [("backend east".to_owned(), 0)]);
        assert_eq!(left("east a 2 0 1 0\n", &patterns[..1]), [], "nobody here can tell");
    }
}
