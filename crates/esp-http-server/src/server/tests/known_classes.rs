//! The classes of bugs that servers of this kind have had, and the tests that keep them out of ours.
//!
//! [`CLASSES`] is the table. It concerns requests and responses; what is special to TLS and WebSocket is
//! tested beside those. A test that is renamed or lost is missed here.

/// A class of bugs, where it was known from, and the tests of ours with its concrete inputs: the file
/// and the name of each.
struct Class {
    what: &'static str,
    known_from: &'static str,
    tests: &'static [(&'static str, &'static str)],
}

const BODIES: &str = include_str!("bodies.rs");
const BODY_DECODER: &str = include_str!("../../proto/body/tests.rs");
const COOKIE: &str = include_str!("../../proto/cookie.rs");
const DETACHED_PLACES: &str = include_str!("detached/places.rs");
const DEADLOCKS: &str = include_str!("../../../tests/deadlocks.rs");
const DETACHED_AWAY: &str = include_str!("detached/away.rs");
const DETACHED_STOPPING: &str = include_str!("detached/stopping.rs");
const EVENT_STREAM: &str = include_str!("../../proto/event_stream.rs");
const EVENT_STREAMS: &str = include_str!("event_streams.rs");
const FORM: &str = include_str!("../../proto/form.rs");
const HANDLERS: &str = include_str!("handlers.rs");
const HEAD: &str = include_str!("../../proto/head/tests.rs");
const HEAD_REFUSED: &str = include_str!("../../proto/head/tests/refused.rs");
const LIMITS: &str = include_str!("limits.rs");
const MISUSE: &str = include_str!("misuse.rs");
const NET_CONTRACT: &str = include_str!("net_contract.rs");
const RANDOM: &str = include_str!("random.rs");
const RAW: &str = include_str!("raw.rs");
const REFUSED: &str = include_str!("refused.rs");
const REQUESTS: &str = include_str!("requests.rs");
const REQUESTS_DECODED: &str = include_str!("requests_decoded.rs");
const RESPONSE: &str = include_str!("../../proto/response.rs");
const SMUGGLING: &str = include_str!("smuggling.rs");
const STATUSES: &str = include_str!("statuses.rs");
const STOP: &str = include_str!("stop.rs");
const TIMERS: &str = include_str!("timers.rs");
const WORK: &str = include_str!("work.rs");

const CLASSES: &[Class] = &[
    Class {
        what: "a length is cut or misread, and what it hides is taken for a request (CWE-681, CWE-444)",
        known_from: "ESP-IDF 9d3f510, Mongoose CVE-2023-34188, hyper CVE-2021-32715",
        tests: &[
            (HEAD_REFUSED, "content_length_is_digits_and_stands_once"),
            (HEAD, "body_lengths_are_told"),
            (BODY_DECODER, "a_length_beyond_32_bits_is_not_cut"),
            (BODY_DECODER, "the_largest_chunk_size_does_not_overflow"),
            (SMUGGLING, "a_length_that_is_no_number_of_bytes_is_refused"),
            (SMUGGLING, "a_length_beyond_32_bits_is_not_cut_to_five"),
        ],
    },
    Class {
        what: "Content-Length against Transfer-Encoding, hidden by folds, spaces, bare line ends",
        known_from: "mongoose#2293, #2460, #2552, #2763, openlitespeed#392, CVE-2023-38697",
        tests: &[
            (HEAD_REFUSED, "transfer_encoding_is_chunked_alone"),
            (HEAD_REFUSED, "length_and_transfer_encoding_exclude_each_other"),
            (HEAD_REFUSED, "field_lines_follow_the_grammar"),
            (HEAD_REFUSED, "the_request_line_has_two_spaces_and_one_crlf"),
            (HEAD, "an_error_stays_an_error_until_the_head_is_cleared"),
            (BODY_DECODER, "chunk_sizes_are_hexadecimal_digits_only"),
            (BODY_DECODER, "lines_and_chunks_end_in_crlf"),
            (BODY_DECODER, "trailers_follow_the_grammar_and_decide_nothing"),
            (SMUGGLING, "a_body_with_two_readings_is_refused_whatever_hides_one_of_them"),
            (
                SMUGGLING,
                "a_body_with_one_reading_ends_where_its_head_says_whatever_the_handler_does",
            ),
            (SMUGGLING, "behind_a_chunked_body_that_breaks_the_rules_nothing_is_a_request"),
            (REFUSED, "a_bad_request_gets_its_status_and_nothing_behind_it_is_a_request"),
            (REQUESTS, "a_body_between_pipelined_requests_is_not_taken_for_one"),
        ],
    },
    Class {
        what: "a body that is not read, or waited for, is taken for the next request",
        known_from: "RFC 9112, sections 9.3 and 11.2",
        tests: &[
            (BODIES, "what_a_handler_leaves_unread_is_dropped"),
            (BODIES, "more_than_purge_len_of_unread_body_ends_the_connection"),
            (BODIES, "who_waits_for_continue_and_is_not_asked_for_the_body_is_closed"),
            (SMUGGLING, "a_body_that_comes_late_is_still_a_body"),
        ],
    },
    Class {
        what: "a response's header field, status, type or target carries a line end (CWE-113)",
        known_from: "ESP-IDF 3c2f81c, cpp-httplib CVE-2026-21428, CVE-2026-45372",
        tests: &[
            (RESPONSE, "nothing_is_injected_into_a_head"),
            (MISUSE, "a_header_field_that_is_none_is_refused"),
            (MISUSE, "a_status_that_is_none_is_refused"),
            (MISUSE, "a_redirect_that_is_none_is_refused"),
            (MISUSE, "what_a_client_has_encoded_is_checked_behind_the_decoding"),
            (MISUSE, "a_trailer_that_must_not_be_one_cuts_the_response_off"),
            (EVENT_STREAM, "names_and_ids_are_one_line"),
            (EVENT_STREAM, "data_is_split_at_every_line_end_and_arrives_whole"),
            (EVENT_STREAMS, "a_name_or_an_id_of_two_lines_is_an_error_and_the_stream_goes_on"),
        ],
    },
    Class {
        what: "a response that is not what was announced shifts all that follow",
        known_from: "RFC 9112, section 6.3; a body behind 204, 304 or HEAD",
        tests: &[
            (MISUSE, "a_second_response_is_refused_however_it_is_begun"),
            (MISUSE, "a_length_that_is_not_kept_cuts_the_response_off"),
            (MISUSE, "a_response_that_is_not_finished_is_cut_off"),
            (MISUSE, "a_panic_is_500_before_the_head_and_cuts_off_behind_it"),
            (STATUSES, "statuses_without_content_have_none_however_it_is_sent"),
            (STATUSES, "the_answer_to_head_tells_what_get_would_have_sent"),
            (STATUSES, "behind_a_tunnel_that_was_agreed_to_nothing_is_a_request"),
            (
                RAW,
                "a_handler_that_does_not_think_of_head_puts_nothing_in_front_of_the_next_response",
            ),
            (DETACHED_PLACES, "what_did_not_fit_there_can_only_be_cut_off"),
        ],
    },
    Class {
        what: "a URI, a head or one of its parts is longer than its buffer",
        known_from: "civetweb CVE-2025-55763, Pico HTTP CVE-2024-22087, Zephyr CVE-2024-10395, \
                     uC-HTTP CVE-2023-51391",
        tests: &[
            (HEAD, "the_longest_target_passes_and_one_byte_more_does_not"),
            (HEAD, "the_longest_head_passes_and_one_byte_more_does_not"),
            (HEAD, "the_most_fields_pass_and_one_more_does_not"),
            (BODY_DECODER, "extensions_are_skipped_within_a_bound"),
            (BODY_DECODER, "trailers_are_bounded_in_bytes_and_count"),
            (LIMITS, "bytes_of_a_head"),
            (LIMITS, "fields_of_a_head"),
            (LIMITS, "bytes_of_a_uri"),
            (LIMITS, "bytes_of_an_unread_body"),
            (LIMITS, "bytes_of_an_unread_chunked_body"),
            (BODIES, "a_limit_on_the_whole_body_holds_to_the_byte"),
            (REQUESTS_DECODED, "the_limit_of_a_form_holds_to_the_byte"),
            (REQUESTS, "requests_split_at_every_byte_are_the_same_requests"),
        ],
    },
    Class {
        what: "a helper writes before or behind the buffer that it was given (CWE-191, CWE-787)",
        known_from: "ESP-IDF e838566, b33745d",
        tests: &[
            (REQUESTS_DECODED, "recv_fills_buffers_of_any_size"),
            (REQUESTS_DECODED, "the_raw_head_is_what_was_sent"),
            (REQUESTS_DECODED, "without_a_query_there_is_no_value"),
            (COOKIE, "a_cookie_is_found_by_its_whole_name"),
            (FORM, "nothing_is_an_empty_form"),
        ],
    },
    Class {
        what: "an encoded path means another one to those who check it than to those who open it",
        known_from: "civetweb CVE-2020-27304, mongoose c65c8fd, b55de8b",
        tests: &[(REQUESTS_DECODED, "a_path_stays_as_it_was_sent")],
    },
    Class {
        what: "a state in which the server spins",
        known_from: "ESP-IDF edb3f9d, 0fb8ad0; a full table with a readable listener",
        tests: &[
            (LIMITS, "no_session_that_is_being_served_is_closed_for_another"),
            (NET_CONTRACT, "a_report_without_a_reason_is_harmless_in_every_phase"),
            (HANDLERS, "a_handler_that_sleeps_for_no_time_lets_others_go_first"),
            (EVENT_STREAMS, "head_does_not_start_a_stream_that_nobody_would_end"),
            (HEAD, "a_long_head_that_drips_is_judged_once"),
            (RANDOM, "whatever_happens_no_session_is_forgotten"),
        ],
    },
    Class {
        what: "a peer that drips, or says nothing, holds a place for ever",
        known_from: "slow heads, slow bodies, readers that do not read",
        tests: &[
            (TIMERS, "a_head_that_drips_in_is_408"),
            (TIMERS, "a_body_that_stops_coming_is_408_if_the_handler_passes_it_on"),
            (TIMERS, "a_client_that_never_reads_is_closed"),
            (BODIES, "a_handler_waits_for_the_rest_of_a_body_while_others_are_served"),
            (EVENT_STREAMS, "a_listener_that_does_not_read_holds_up_its_handler_and_then_loses_it"),
        ],
    },
    Class {
        what: "the server waits for itself: stop, close or queued work from inside",
        known_from: "ESP-IDF ba25e86, me-no-dev#876, httpd_stop in a handler",
        tests: &[
            (STOP, "a_handler_can_stop_the_server_it_runs_in"),
            (STOP, "a_work_function_can_stop_the_server"),
            (HANDLERS, "a_handler_can_reach_the_server_it_runs_in"),
            (WORK, "work_that_queues_work_lets_sessions_be_served"),
            (DEADLOCKS, "stop_may_be_called_anywhere"),
            (DEADLOCKS, "a_session_may_be_closed_anywhere"),
            (DEADLOCKS, "work_may_be_queued_anywhere_until_it_is_refused"),
            (
                DEADLOCKS,
                "a_server_may_be_joined_anywhere_and_its_own_threads_are_told_that_they_cannot",
            ),
            (DEADLOCKS, "a_detached_request_may_be_waited_for_and_dropped_anywhere"),
        ],
    },
    Class {
        what: "a server that stops, or a session that ends, leaves something behind or is used again",
        known_from: "ESP-IDF e838566, IDF#10265, IDF#19103, Zephyr PR#96760",
        tests: &[
            (RANDOM, "whatever_happens_a_server_that_stops_leaves_nothing_behind"),
            (STOP, "after_stop_timeout_waiting_handlers_are_told_and_everything_closes"),
            (WORK, "work_reaches_no_session_that_has_ended_or_is_ending"),
            (DETACHED_STOPPING, "after_stop_timeout_all_are_cut_off_and_may_outlive_the_server"),
            (
                DETACHED_AWAY,
                "a_session_that_somebody_closes_is_closed_at_once_and_the_thread_finds_out",
            ),
            (HANDLERS, "a_server_that_is_dropped_tells_waiting_handlers_to_end"),
        ],
    },
];

#[test]
fn every_class_has_its_tests() {
    for class in CLASSES {
        assert!(!class.tests.is_empty() && !class.known_from.is_empty(), "{}", class.what);
        for (source, test) in class.tests {
            let is_there = source.contains(&format!("#[test]\nfn {test}() {{"))
                || source.contains(&format!("#[test]\n    fn {test}() {{"));
            assert!(is_there, "{}: no test {test}", class.what);
        }
    }
}
