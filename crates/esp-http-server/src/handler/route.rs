//! What a request and a WebSocket message have of the URI handler that they went to, and of the
//! server: parameters of the URI, contexts.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::ToString;
use core::any::Any;

use super::{Request, WsRequest};
use crate::error::{Error, Result};
use crate::proto::status::Status;
use crate::proto::uri::percent_decode_str;

macro_rules! route_methods {
    ($($holder:ident)*) => {$(
        impl $holder<'_> {
            /// What stands in the path for the parameter `name` of the handler's URI, percent-decoded.
            /// It is never empty, but may have any character in it, `/` and NUL among them.
            ///
            /// ```
            #[doc = concat!("# use esp_http_server::{Result, ", stringify!($holder), "};")]
            /// // for /users/{id}
            #[doc = concat!("fn user_number(req: &", stringify!($holder), ") -> Result<u32> {")]
            ///     Ok(req.param("id")?.parse()?)
            /// }
            /// ```
            ///
            /// # Errors
            ///
            /// [`Error::Refused`] with 400, for handlers to pass on, if the decoded bytes are not UTF-8;
            /// [`Error::NoParam`] if the handler's URI has no such parameter.
            pub fn param(&self, name: &str) -> Result<Cow<'_, str>> {
                let raw = self.param_raw(name).ok_or_else(|| Error::NoParam(name.to_string()))?;
                percent_decode_str(raw).map_err(|error| {
                    let why = format!("the path's value for {name:?}: {error}");
                    Error::Refused(Status::BAD_REQUEST, why)
                })
            }

            /// As [`param`](Self::param), as it was sent; `None` if the handler's URI has no such
            /// parameter.
            pub fn param_raw(&self, name: &str) -> Option<&str> {
                self.link.route()?.param(name, self.routed_path()?)
            }

            /// The context of the handler, if it has one of type `T` (upstream's
            /// `httpd_req_t::user_ctx`): see
            /// [`UriHandler::user_ctx`](crate::UriHandler::user_ctx).
            ///
            /// What is needed while the request itself is used, to answer it, say, is cloned out of it
            /// first: an `Arc` of what is too much to copy.
            pub fn user_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
                self.link.route()?.context()
            }

            /// The server's context, if it has one of type `T` (upstream's
            /// `httpd_get_global_user_ctx`): see
            /// [`ServerBuilder::global_user_ctx`](crate::ServerBuilder::global_user_ctx).
            pub fn global_user_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
                self.link.conn().shared.global_user_ctx()
            }
        }
    )*};
}

route_methods!(Request WsRequest);

impl Request<'_> {
    fn routed_path(&self) -> Option<&str> {
        Some(self.path())
    }
}

impl WsRequest<'_> {
    /// Of the request that opened the WebSocket.
    fn routed_path(&self) -> Option<&str> {
        self.link.conn().ws.as_ref()?.path()
    }
}
