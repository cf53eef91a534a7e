//! The porting guide has every name of ESP-IDF's HTTP server that a program can touch, and what it
//! names of ours is there.

use std::fs;
use std::path::{Path, PathBuf};

const GUIDE: &str = "docs/porting-from-esp-idf.md";

/// ESP-IDF's functions and types, from the lists of its API reference.
const UPSTREAM: &str = "
    httpd_start httpd_stop httpd_register_uri_handler httpd_unregister_uri_handler
    httpd_unregister_uri httpd_register_err_handler httpd_req_handle_err
    httpd_sess_set_recv_override httpd_sess_set_send_override httpd_sess_set_pending_override
    httpd_req_async_handler_begin httpd_req_async_handler_complete httpd_req_to_sockfd
    httpd_req_recv httpd_req_get_hdr_value_len httpd_req_get_hdr_value_str
    httpd_req_get_hdr_value_str_ptr httpd_req_get_url_query_len httpd_req_get_url_query_str
    httpd_req_get_url_query_str_ptr httpd_query_key_value httpd_req_get_cookie_val
    httpd_uri_match_wildcard httpd_resp_send httpd_resp_send_chunk httpd_resp_sendstr
    httpd_resp_sendstr_chunk httpd_resp_set_status httpd_resp_set_type httpd_resp_set_hdr
    httpd_resp_send_err httpd_resp_send_custom_err httpd_resp_send_404 httpd_resp_send_408
    httpd_resp_send_500 httpd_send httpd_socket_send httpd_socket_recv httpd_sess_get_ctx
    httpd_sess_set_ctx httpd_sess_get_transport_ctx httpd_sess_set_transport_ctx
    httpd_get_global_user_ctx httpd_get_global_transport_ctx httpd_sess_trigger_close
    httpd_sess_update_lru_counter httpd_get_client_list httpd_queue_work httpd_get_raw_req_data_len
    httpd_get_raw_req_data httpd_get_server_state httpd_ws_recv_frame httpd_ws_recv_frame_part
    httpd_ws_send_frame httpd_ws_send_frame_async httpd_ws_get_fd_info httpd_ws_send_data
    httpd_ws_send_data_async httpd_ssl_start httpd_ssl_stop
    httpd_handle_t httpd_method_t httpd_free_ctx_fn_t httpd_open_func_t httpd_close_func_t
    httpd_uri_match_func_t httpd_config_t httpd_req_t httpd_uri_t httpd_err_code_t
    httpd_err_handler_func_t httpd_send_func_t httpd_recv_func_t httpd_pending_func_t
    httpd_work_fn_t httpd_ws_type_t httpd_ws_client_info_t httpd_ws_frame_t transfer_complete_cb
    esp_http_server_event_id_t esp_http_server_event_data httpd_ssl_config_t
    httpd_ssl_transport_mode_t httpd_ssl_user_cb_state_t esp_https_server_user_cb
    esp_https_server_user_cb_arg_t esp_https_server_cert_select_cb esp_https_server_last_error_t
    esp_https_server_event_id_t
    task_priority stack_size core_id task_caps max_req_hdr_len max_uri_len server_port ctrl_port
    max_open_sockets max_uri_handlers max_resp_headers backlog_conn lru_purge_enable
    recv_wait_timeout send_wait_timeout global_user_ctx global_user_ctx_free_fn
    global_transport_ctx global_transport_ctx_free_fn enable_so_linger linger_timeout
    keep_alive_enable keep_alive_idle keep_alive_interval keep_alive_count if_name open_fn close_fn
    uri_match_fn is_websocket handle_ws_control_frames supported_subprotocol ws_pre_handshake_cb
    ws_post_handshake_cb sess_ctx free_ctx ignore_sess_ctx_changes user_ctx content_len aux
    servercert servercert_len cacert_pem cacert_len client_cert_authmode_optional prvtkey_pem
    prvtkey_len server_key use_ecdsa_peripheral ecdsa_key_efuse_blk ecdsa_key_efuse_blk_high
    ecdsa_curve transport_mode port_secure port_insecure session_tickets use_secure_element user_cb
    ssl_userdata cert_select_cb alpn_protos tls_handshake_timeout_ms tls_version ciphersuites_list
    HTTP_ANY HTTPD_RESP_USE_STRLEN HTTPD_SOCK_ERR_FAIL HTTPD_SOCK_ERR_INVALID
    HTTPD_SOCK_ERR_TIMEOUT HTTPD_TYPE_JSON HTTPD_TYPE_TEXT HTTPD_TYPE_OCTET
    HTTPD_DEFAULT_CONFIG HTTPD_SSL_CONFIG_DEFAULT ESP_HTTPD_DEF_CTRL_PORT ESP_HTTP_SERVER_EVENT
    ESP_HTTPS_SERVER_EVENT ESP_ERR_HTTPD_HANDLERS_FULL ESP_ERR_HTTPD_HANDLER_EXISTS
    ESP_ERR_HTTPD_INVALID_REQ ESP_ERR_HTTPD_RESULT_TRUNC ESP_ERR_HTTPD_RESP_HDR
    ESP_ERR_HTTPD_RESP_SEND ESP_ERR_HTTPD_ALLOC_MEM ESP_ERR_HTTPD_TASK
    HTTPD_WS_CLIENT_INVALID HTTPD_WS_CLIENT_HTTP HTTPD_WS_CLIENT_WEBSOCKET
    CONFIG_HTTPD_MAX_REQ_HDR_LEN CONFIG_HTTPD_MAX_URI_LEN CONFIG_HTTPD_ERR_RESP_NO_DELAY
    CONFIG_HTTPD_PURGE_BUF_LEN CONFIG_HTTPD_LOG_PURGE_DATA CONFIG_HTTPD_WS_SUPPORT
    CONFIG_HTTPD_WS_STRICTER_RFC6455 CONFIG_HTTPD_WS_PRE_HANDSHAKE_CB_SUPPORT
    CONFIG_HTTPD_WS_POST_HANDSHAKE_CB_SUPPORT CONFIG_HTTPD_QUEUE_WORK_BLOCKING
    CONFIG_HTTPD_ENABLE_EVENTS CONFIG_HTTPD_SERVER_EVENT_POST_TIMEOUT CONFIG_ESP_HTTPS_SERVER_EVENTS
    CONFIG_ESP_HTTPS_SERVER_EVENT_POST_TIMEOUT CONFIG_ESP_HTTPS_SERVER_CERT_SELECT_HOOK
    CONFIG_ESP_TLS_SERVER_MIN_AUTH_MODE_OPTIONAL
    esp_tls_cfg_server_t esp_tls_init esp_tls_server_session_create esp_tls_server_session_init
    esp_tls_server_session_continue_async esp_tls_server_session_delete esp_tls_conn_read
    esp_tls_conn_write esp_tls_get_bytes_avail esp_tls_get_ssl_context esp_tls_get_error_handle
    esp_tls_get_and_clear_last_error esp_tls_get_and_clear_error_type esp_tls_get_ciphersuites_list
    esp_tls_cfg_server_session_tickets_init esp_tls_cfg_server_session_tickets_free
    esp_tls_init_global_ca_store esp_tls_set_global_ca_store esp_tls_get_global_ca_store
    esp_tls_free_global_ca_store esp_tls_register_stack esp_tls_get_conn_state esp_tls_set_conn_state
    esp_tls_get_conn_sockfd esp_tls_set_conn_sockfd cacert_buf cacert_bytes servercert_buf
    servercert_bytes serverkey_buf serverkey_bytes serverkey_password serverkey_password_len
    esp_key_config_t ticket_ctx userdata psk_hint_key
    final fragmented left_len HTTPD_WS_TYPE_TEXT
";

#[test]
fn the_guide_has_every_name_of_esp_idf() {
    let guide = read(&root().join(GUIDE));
    let named: Vec<&str> = rows(&guide).flat_map(|row| names(row[0])).collect();
    let missing: Vec<&str> =
        UPSTREAM.split_whitespace().filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "{GUIDE} says nothing of {missing:?}");
}

#[test]
fn what_the_guide_names_of_ours_is_there() {
    let guide = read(&root().join(GUIDE));
    let sources = sources();
    let mut checked = 0;
    for name in rows(&guide).flat_map(|row| code(row[1])) {
        let (owner, item) = name.rsplit_once("::").unwrap_or(("", name));
        for part in [owner, item].into_iter().filter(|part| !part.is_empty()) {
            assert!(is_defined(part, &sources), "{GUIDE} names `{name}`, which isn't there");
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} names were found");
}

#[test]
fn a_name_that_is_nowhere_is_found_out() {
    assert!(is_defined("recv", "    pub fn recv(&mut self)"));
    assert!(is_defined("Peer", "pub enum Peer {"));
    assert!(is_defined("Closed", "    Closed,"));
    assert!(is_defined("port", "    pub port: u16,"));
    assert!(!is_defined("recv", "    pub fn recv_all(&mut self)"));
    assert_eq!(rows("| a | b |\n|---|---|\n| `c`, `::d` | – | e |").count(), 1);
    assert_eq!(names("`c`, `x_t::d`, `::e`, `HTTP_GET` …"), ["c", "x_t", "d", "e", "HTTP_GET"]);
}

/// The cells of the rows of all tables that have remarks, without their heads.
fn rows(guide: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines =
        guide.lines().filter(|line| line.starts_with("| ") && !line.contains("| remarks |"));
    lines.map(|line| line.split('|').skip(1).map(str::trim).collect()).filter(
        |cells: &Vec<&str>| {
            assert!(cells.len() >= 3, "a row without two cells: {cells:?}");
            cells.len() == 4
        },
    )
}

/// What stands in backticks.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn names(cell: &str) -> Vec<&str> {
    code(cell).flat_map(|code| code.split("::")).filter(|name| !name.is_empty()).collect()
}

/// Whether something of that name is declared: a function, a type, a variant, a field.
fn is_defined(name: &str, sources: &str) -> bool {
    let declares = |line: &str| {
        let words = line.trim_start().trim_start_matches("pub ").trim_start_matches("const ");
        let rest = ["fn ", "struct ", "enum ", "trait ", "type ", ""]
            .iter()
            .find_map(|keyword| words.strip_prefix(keyword)?.strip_prefix(name));
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(['(', '<', ' ', ',', ':', '{', ';'])
        })
    };
    sources.lines().any(declares)
}

/// All sources of the crates, as one text.
fn sources() -> String {
    let mut text = String::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources can be read") {
            let path = entry.expect("the sources can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &read(&path);
            }
        }
    }
    text
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
