//! Values from the environment reach no output, no record and no error text.

use crate::balancer::{Balancer, Restores};
use crate::home::{Ended, Home};
use crate::plans::own;

const TOKEN: &str = "s3cr3t-t0k3n";

/// A drill with a secret token in a header, and the address of the runtime API as another.
fn drill(restores: Restores, change: &[(&str, &str)]) {
    let balancer = Balancer::new(restores);
    let api = balancer.address().to_string();
    let home = Home::new().with_env("TOKEN", TOKEN).with_env("API", &api);
    let header = [("accept: \"*/*\"", "authorization: \"Bearer ${env:TOKEN}\"")];
    let provider = "{ haproxy: { address: \"${env:API}\", servers: { east: [app/east-1], west: [app/west-1] } } }";
    let web = balancer.web(Some("authorization"));
    let plan = own(web, provider, &[&header[..], change].concat());
    let plan = home.file("plan.yaml", plan);
    let mut args = vec!["run", plan, "--yes", "--events=drill.jsonl", "--report", "table"];
    for report in
        ["json=drill.json", "junit=drill.xml", "markdown=drill.md", "openmetrics=drill.prom"]
    {
        args.extend(["--report", report]);
    }
    let ended = home.run(&args);
    assert!(balancer.heard().len() > 1, "{ended}");
    keeps(&home, &ended, &[TOKEN, &api]);
}

#[track_caller]
fn keeps(home: &Home, ended: &Ended, secrets: &[&str]) {
    let written = home.everything();
    assert!(written.contains("record.json") && written.contains("drill.json"), "{ended}");
    for secret in secrets {
        for place in [&ended.stdout, &ended.stderr, &written] {
            assert!(!place.contains(secret), "{secret} in {place}");
        }
    }
}

#[test]
fn in_a_drill_that_passes() {
    drill(Restores::Done, &[]);
}

#[test]
fn when_the_answers_are_wrong_and_give_the_secret_back() {
    let other = ("url: \"http", "expect: { body: pong }, url: \"http");
    drill(Restores::Done, &[other]);
}

#[test]
fn when_the_answers_name_a_datacenter_by_the_secret() {
    drill(Restores::Done, &[("header: x-datacenter", "header: content-type")]);
}

#[test]
fn when_the_control_is_lost() {
    drill(Restores::Lost, &[]);
}

#[test]
fn when_a_guardrail_is_refused_and_given_the_secret_back() {
    let page = crate::page::Page::new("");
    page.serve(403, &format!("{{\"status\": \"error\", \"error\": \"{TOKEN} may not\"}}"));
    let query = format!(
        "{{ url: \"http://{}\", query: up, headers: {{ authorization: \"${{env:TOKEN}}\" }} }}",
        page.address()
    );
    let guardrail = format!(
        "at_most: 5s }}\nguardrails: [{{ prometheus: {query}, every: 100ms, grace: 100ms }}]"
    );
    drill(Restores::Done, &[("at_most: 5s }", &guardrail)]);
}

#[test]
fn when_the_secret_makes_no_sense_where_it_stands() {
    let home = Home::new().with_env("API", "n0 address at all");
    let provider = "{ haproxy: { address: \"${env:API}\", servers: { east: [app/east-1] } } }";
    let plan = home.file("plan.yaml", own(([127, 0, 0, 1], 1).into(), provider, &[]));
    let ended = home.run(&["check", plan]);
    ended.has(2, &["plan.yaml:5:"]);
    assert!(!ended.stderr.contains("n0 address"), "{ended}");
}
