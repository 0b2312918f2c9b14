// Counting, gauges at scrape, and what plugins report.
#include "metrics/metrics.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <stdexcept>
#include <thread>

using namespace ipcs;
using namespace ipcs::metrics;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

// The value of the line that begins with `series` and a blank; fails when there is none.
double value_of(Metrics& metrics, const std::string& series) {
  const std::string text = '\n' + metrics.scrape();
  const size_t at = text.find('\n' + series + ' ');
  INFO(text);
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + series.size() + 2));
}
bool has(Metrics& metrics, const std::string& word) {
  return metrics.scrape().find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("bytes and what is open") {
  Metrics m;
  m.bytes_read().add(32768);
  m.bytes_read().add(1);
  m.bytes_written().add();
  {
    const Held one(m.open_reads()), two(m.open_reads());
    const Held write(m.open_writes());
    CHECK(value_of(m, "ipcs_open_reads") == 2);
    CHECK(value_of(m, "ipcs_open_writes") == 1);
  }
  CHECK(value_of(m, "ipcs_read_bytes_total") == 32769);
  CHECK(value_of(m, "ipcs_written_bytes_total") == 1);
  CHECK(value_of(m, "ipcs_open_reads") == 0);
  m.open_writes().set(7);
  CHECK(value_of(m, "ipcs_open_writes") == 7);
  CHECK(value_of(m, "ipcs_build_info{version=\"" IPCS_VERSION "\"}") == 1);
}

TEST_CASE("calls are counted by method and code, and timed") {
  Metrics m;
  Rpc& read = m.rpc("/containerd.services.content.v1.Content/Read");
  CHECK(&read == &m.rpc("/containerd.services.content.v1.Content/Read"));
  CHECK(&read != &m.rpc("/containerd.services.content.v1.Content/Info"));
  CHECK_FALSE(has(m, "grpc_server_handled_total{"));
  read.done(Code::kOk, 200us);
  read.done(Code::kOk, 3ms);
  read.done(Code::kNotFound, 2min);
  read.done(static_cast<Code>(99), 1ms);
  const std::string method = "grpc_method=\"Read\",grpc_service=\"containerd.services.content.v1.Content\"";
  const std::string handled = "grpc_server_handled_total{grpc_code=";
  CHECK(value_of(m, handled + "\"OK\"," + method + "}") == 2);
  CHECK(value_of(m, handled + "\"NOT_FOUND\"," + method + "}") == 1);
  CHECK(value_of(m, handled + "\"UNKNOWN\"," + method + "}") == 1);
  const std::string seconds = "grpc_server_handling_seconds_";
  CHECK(value_of(m, seconds + "count{" + method + "}") == 4);
  CHECK(value_of(m, seconds + "sum{" + method + "}") == Approx(120.0042));
  CHECK(value_of(m, seconds + "bucket{" + method + ",le=\"0.0001\"}") == 0);
  CHECK(value_of(m, seconds + "bucket{" + method + ",le=\"0.00025\"}") == 1);
  CHECK(value_of(m, seconds + "bucket{" + method + ",le=\"60\"}") == 3);
}

TEST_CASE("many threads lose no count") {
  Metrics m;
  Rpc& info = m.rpc("/s/Info");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        info.done(i % 2 == 0 ? Code::kOk : Code::kNotFound, 1us);
        m.bytes_read().add(2);
        m.plugin_metric("local", "syncs", IPCS_METRIC_COUNTER, 1);
        if (i % 1000 == 0) m.scrape();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(value_of(m, "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Info\",grpc_service=\"s\"}") == 10'000);
  CHECK(value_of(m, "grpc_server_handled_total{grpc_code=\"NOT_FOUND\",grpc_method=\"Info\",grpc_service=\"s\"}") ==
        10'000);
  CHECK(value_of(m, "ipcs_read_bytes_total") == 40'000);
  CHECK(value_of(m, "ipcs_plugin_syncs{plugin=\"local\"}") == 20'000);
}

TEST_CASE("a plugin's metrics") {
  Metrics m;
  m.plugin_metric("local", "syncs_total", IPCS_METRIC_COUNTER, 2);
  m.plugin_metric("local", "syncs_total", IPCS_METRIC_COUNTER, 3);
  m.plugin_metric("old", "syncs_total", IPCS_METRIC_COUNTER, 1);
  m.plugin_metric("local", "free", IPCS_METRIC_GAUGE, 5);
  m.plugin_metric("local", "free", IPCS_METRIC_GAUGE, -4);
  CHECK(value_of(m, "ipcs_plugin_syncs_total{plugin=\"local\"}") == 5);
  CHECK(value_of(m, "ipcs_plugin_syncs_total{plugin=\"old\"}") == 1);
  CHECK(value_of(m, "ipcs_plugin_free{plugin=\"local\"}") == -4);
  CHECK_THAT(m.scrape(),
             Contains("# TYPE ipcs_plugin_free gauge") && Contains("# TYPE ipcs_plugin_syncs_total counter"));
}

TEST_CASE("what a plugin may not report is dropped") {
  Metrics m;
  m.plugin_metric("p", "a", IPCS_METRIC_COUNTER, 1);
  m.plugin_metric("p", "a", IPCS_METRIC_COUNTER, -1);
  m.plugin_metric("p", "a", IPCS_METRIC_GAUGE, 9);
  m.plugin_metric("q", "a", IPCS_METRIC_GAUGE, 9);
  m.plugin_metric("p", "a", IPCS_METRIC_COUNTER, std::numeric_limits<double>::infinity());
  m.plugin_metric("p", "a", IPCS_METRIC_COUNTER, std::numeric_limits<double>::quiet_NaN());
  CHECK(value_of(m, "ipcs_plugin_a{plugin=\"p\"}") == 1);
  CHECK_FALSE(has(m, "plugin=\"q\""));
  for (const std::string& name :
       {std::string(), std::string("A"), std::string("a b"), std::string("x\n"), std::string(65, 'z')})
    m.plugin_metric("p", name, IPCS_METRIC_GAUGE, 1);
  m.plugin_metric("p", "kind", 2, 1);
  CHECK_FALSE(has(m, "zzzz"));
  CHECK_FALSE(has(m, "ipcs_plugin_kind"));
  CHECK_FALSE(has(m, "ipcs_plugin_A"));
  for (int i = 0; i < 300; ++i) m.plugin_metric("p", "n" + std::to_string(i), IPCS_METRIC_GAUGE, i);
  CHECK(has(m, "ipcs_plugin_n254{"));
  CHECK_FALSE(has(m, "ipcs_plugin_n255{"));
  m.plugin_metric("p", "n7", IPCS_METRIC_GAUGE, 70);  // those that are known go on
  CHECK(value_of(m, "ipcs_plugin_n7{plugin=\"p\"}") == 70);
}

TEST_CASE("gauges are looked up at each scrape, and a failing source is counted") {
  Metrics m;
  int asked = 0;
  m.at_scrape([&]() -> std::vector<Sample> {
    ++asked;
    return {{"ipcs_blobs", "Blobs held.", 10.0 + asked}, {"ipcs_blob_bytes", "Bytes of them.", 4096}};
  });
  m.at_scrape([]() -> std::vector<Sample> { throw std::runtime_error("catalog is locked"); });
  CHECK(value_of(m, "ipcs_blobs") == 11);
  CHECK(value_of(m, "ipcs_blobs") == 12);
  CHECK(value_of(m, "ipcs_blob_bytes") == 4096);
  CHECK(value_of(m, "ipcs_scrape_errors_total") == 4);
  CHECK_THAT(m.scrape(), Contains("# HELP ipcs_blobs Blobs held.") && Contains("# TYPE ipcs_blobs gauge"));
}
