//! The smallest WebSocket server, without TLS. Try: python3 -m websockets ws://localhost:8080/ws

use esp_https_server::*;

fn echo(ws: &mut WsRequest) -> Result {
    let message = ws.message(4096)?; // reassembled; pings are ponged, closes are answered
    ws.send(message)
}

fn main() -> Result {
    let config = HttpConfig { server_port: examples::http_port(), ..HttpConfig::default() };
    let server = HttpServer::builder(config).ws("/ws", echo).start()?;
    examples::run_http(server)
}
