//! The providers of AWS, by the official SDK.
//!
//! The SDK signs, finds credentials, and repeats what failed on the way or was throttled. The connections are our own
//! (`wire`), as for every other provider: one a request, bounded, to nobody else than was asked, and noted.

#[cfg(feature = "aws-elb")]
mod elb;
mod failed;
#[cfg(feature = "aws-fis")]
mod fis;
mod route53;
#[cfg(feature = "aws-routing-control")]
mod routing_control;
mod wire;
mod zonal_shift;

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use tokio::sync::OnceCell;

use self::wire::Wire;
use crate::command::quoted;
use crate::model::{AwsReach, ControlSpec, Exchange};

#[cfg(feature = "aws-elb")]
pub use elb::Elb;
#[cfg(feature = "aws-fis")]
pub use fis::Fis;
pub use route53::Route53;
#[cfg(feature = "aws-routing-control")]
pub use routing_control::RoutingControl;
pub use zonal_shift::ZonalShift;

/// So often one thing is asked, at most.
const TRIES: u32 = 4;

/// The settings of the SDK's clients, made when they are first needed: who we are may take a call to find out.
#[derive(Debug)]
struct Session {
    reach: AwsReach,
    /// The region of what is steered.
    region: String,
    wire: Wire,
    config: OnceCell<SdkConfig>,
}

impl Session {
    fn new(spec: &ControlSpec, reach: &AwsReach, region: &str) -> Session {
        let texts = spec.provider.texts();
        let secrets = texts.iter().flat_map(crate::model::Text::secrets);
        Session {
            reach: reach.clone(),
            region: region.to_owned(),
            wire: Wire::new(secrets, reach.timeout),
            config: OnceCell::new(),
        }
    }

    /// What the SDK's clients are made of.
    async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| self.load()).await
    }

    async fn load(&self) -> SdkConfig {
        let region = Region::new(self.region.clone());
        // Whoever gives credentials is asked by a client that notes no more than that.
        let private = self.wire.private();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region.clone())
            .http_client(private.clone())
            .retry_config(retries())
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_timeout(self.reach.timeout)
                    .operation_attempt_timeout(self.reach.timeout.mul_f64(0.6))
                    .build(),
            );
        if let Some(endpoint) = &self.reach.endpoint {
            loader = loader.endpoint_url(endpoint.reveal_plain());
        }
        if self.reach.profile.is_some() || self.reach.credentials.is_some() {
            let conf = ProviderConfig::without_region()
                .with_region(Some(region))
                .with_http_client(private);
            loader = loader.credentials_provider(self.profile(&conf));
        }
        let config = loader.load().await;
        config.into_builder().http_client(self.wire.clone()).build()
    }

    /// The profile that the plan names: what stands in the environment has no say then, as in AWS's own tools.
    fn profile(&self, conf: &ProviderConfig) -> ProfileFileCredentialsProvider {
        let mut files = EnvConfigFiles::builder().include_default_config_file(true);
        files = match &self.reach.credentials {
            Some(path) => files.with_file(EnvConfigFileKind::Credentials, path.reveal_plain()),
            None => files.include_default_credentials_file(true),
        };
        let mut builder = ProfileFileCredentialsProvider::builder().configure(conf);
        if let Some(profile) = &self.reach.profile {
            builder = builder.profile_name(profile);
        }
        builder.profile_files(files.build()).build()
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.wire.exchanges()
    }

    /// `aws … --profile NAME --endpoint-url URL`, as a person types it.
    fn command(&self, service: &str, call: &str) -> String {
        let profile = self.reach.profile.as_ref().map(|it| format!(" --profile {}", quoted(it)));
        let endpoint = self
            .reach
            .endpoint
            .as_ref()
            .map(|it| format!(" --endpoint-url {}", quoted(&it.to_string())));
        let more = [profile, endpoint].into_iter().flatten().collect::<String>();
        format!("aws {service} {call}{more}")
    }
}

/// Pauses of up to 0.2, 0.4 and 0.8 s: the SDK's own, of up to 7 s in all, would leave it at a time-out where AWS said why.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(TRIES)
        .with_initial_backoff(Duration::from_millis(200))
        .with_max_backoff(Duration::from_secs(2))
}
