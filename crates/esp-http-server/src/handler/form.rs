//! Queries and forms, decoded.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use super::request::Request;
use crate::error::{Error, Result};
use crate::proto::form::{Form, is_form};
use crate::proto::status::Status;
use crate::proto::uri;

impl Request<'_> {
    /// The value that the query has for `key`, with `%XX` and `+` decoded; the first, if there are
    /// several. [`query_value`](Self::query_value) has it as it was sent; [`Form::parse`] takes the whole
    /// [`query`](Self::query) apart.
    ///
    /// ```
    /// # use esp_http_server::{Request, Result};
    /// fn search(req: &mut Request) -> Result {
    ///     let wanted = req.query_param("q")?.unwrap_or_default().into_owned();
    ///     req.respond().content_type("text/plain").send(format!("nothing found for {wanted}\n"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with 400, for handlers to pass on, if the decoded bytes are not UTF-8.
    pub fn query_param(&self, key: &str) -> Result<Option<Cow<'_, str>>> {
        let Some(query) = self.query() else { return Ok(None) };
        uri::query_value_decoded(query, key).map_err(|error| {
            Error::Refused(Status::BAD_REQUEST, format!("the query's value for {key:?}: {error}"))
        })
    }

    /// Reads the body as the fields of a page's form, `application/x-www-form-urlencoded`; it may have
    /// `limit` bytes at most.
    ///
    /// ```
    /// # use esp_http_server::{Error, Request, Result, Status, proto::auth::secrets_match};
    /// fn login(req: &mut Request) -> Result {
    ///     let form = req.form(1024)?;
    ///     let password = form.value("password").unwrap_or_default();
    ///     match secrets_match(password.as_bytes(), b"correct horse") {
    ///         true => req.respond().redirect(Status::SEE_OTHER, "/"),
    ///         false => Err(Error::Refused(Status::FORBIDDEN, "wrong password".into())),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// For handlers to pass on: [`Error::Refused`], with 415 before anything is read if `Content-Type`
    /// says something else, and with 400 if the body can't be decoded; [`Error::BodyTooLong`]; those of
    /// [`recv`](Self::recv).
    pub fn form(&mut self, limit: usize) -> Result<Form> {
        let mut types = self.header_values("Content-Type");
        let is_form = types.next().is_some_and(is_form) && types.next().is_none();
        drop(types);
        if !is_form || self.header_bytes("Content-Encoding").is_some() {
            let why = "this resource takes application/x-www-form-urlencoded, uncompressed";
            return Err(Error::Refused(Status::UNSUPPORTED_MEDIA_TYPE, String::from(why)));
        }
        let body = self.recv_all(limit)?;
        Form::parse(&body).map_err(|error| {
            Error::Refused(Status::BAD_REQUEST, format!("the form can't be decoded: {error}"))
        })
    }
}
