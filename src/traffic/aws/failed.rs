//! What an error of the SDK means: what, where, and what to do next.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::model::printable;
use crate::traffic::ControlError;
use crate::traffic::api::answer::shortened;

/// The longest piece of what AWS says that an error shows, in characters.
const SHOWN: usize = 300;

/// Why a call failed. `call` is also the name of the permission that it needs: `route53:GetChange`.
pub(super) fn failed<E>(call: &str, error: &SdkError<E, HttpResponse>) -> ControlError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(said) => {
            let (code, message) = (said.err().code(), said.err().message());
            refused(call, code, message, said.raw())
        }
        SdkError::ResponseError(said) => refused(call, None, None, said.raw()),
        SdkError::TimeoutError(_) => ControlError {
            what: format!("AWS gave no answer to `{call}` in time"),
            hint: "it may have taken effect all the same: its state is read again".to_owned(),
        },
        _ => unanswered(call, error),
    }
}

/// What an answer that is no good one means.
fn refused(
    call: &str,
    code: Option<&str>,
    message: Option<&str>,
    raw: &HttpResponse,
) -> ControlError {
    let status = raw.status().as_u16();
    let body = raw.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    let said = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        // What stands before AWS, or is not AWS, answers in words of its own.
        (None, _) => format!("{status} {body}"),
    };
    let said = printable(&shortened(&said, SHOWN));
    let hint = hint(call, code.unwrap_or_default(), status);
    ControlError { what: format!("AWS said {said} to `{call}`"), hint }
}

/// What to do about it. The codes are those of AWS's common errors and of the services that we call.
fn hint(call: &str, code: &str, status: u16) -> String {
    match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "the credentials have expired: get new ones, such as by `aws sso login`".to_owned()
        }
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => {
            "these are no credentials of AWS: see `aws sts get-caller-identity`, and the clock"
                .to_owned()
        }
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" => {
            format!("these credentials lack the permission `{call}`: allow it, or take others")
        }
        "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "PriorRequestNotComplete" => {
            "AWS takes no more calls of this account for now: see who else calls, and try again"
                .to_owned()
        }
        code if code.starts_with("NoSuch") || code.contains("NotFound") => {
            "see that what the plan names is there, in the account and region of these credentials"
                .to_owned()
        }
        code if code.contains("Conflict") || code.contains("Mismatch") => {
            "somebody else changes it at the same time; see who".to_owned()
        }
        _ if status >= 500 => {
            "AWS is not well: see its status page, and try again later".to_owned()
        }
        _ => "see the settings of this control in the plan".to_owned(),
    }
}

/// That the call did not get as far as an answer.
fn unanswered<E>(call: &str, error: &SdkError<E, HttpResponse>) -> ControlError
where
    E: Error + 'static,
{
    let why = causes(error).last().cloned().unwrap_or_default();
    if lacks_credentials(error) {
        return ControlError {
            what: format!("there are no credentials of AWS for `{call}`: {why}"),
            hint: "name a `profile`, set AWS's variables, or log in: `aws sts get-caller-identity` must work"
                .to_owned(),
        };
    }
    ControlError {
        what: format!("AWS gave no answer to `{call}`: {why}"),
        hint:
            "see whether it can be reached from here, and that an `endpoint` in the plan is right"
                .to_owned(),
    }
}

/// Whether nobody is known who could ask. The SDK has no type of error for it that could be asked.
pub(super) fn lacks_credentials<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + 'static,
{
    // What our own connections say, with words of whoever answered in it, is of another kind.
    if matches!(error, SdkError::DispatchFailure(lost) if !lost.is_other()) {
        return false;
    }
    causes(error).iter().any(|cause| cause.contains("credentials") || cause.contains("profile"))
}

/// What an error says and what each of its causes says, the innermost last.
fn causes(error: &dyn Error) -> Vec<String> {
    let (mut causes, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next {
        causes.push(printable(&shortened(&error.to_string(), SHOWN)));
        next = error.source();
    }
    causes
}
