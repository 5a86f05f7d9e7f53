"""What the WAYSCloud document shows its readers to run, word for word but for the host.

Each shows nothing of the answer, so each gets lines of ours that print it: status, then body.
JavaScript is put into an async function, for its `await` stands where CommonJS allows none; Go does
not compile as it stands (`fmt` is imported and unused) until our line uses it.
Source: providers/wayscloud, "Using API Keys in Code", "API Key Types", "Example Request".
"""

from __future__ import annotations

HOST = "https://api.wayscloud.services"

PYTHON = """\
import os
import requests

# Load from environment
API_KEY = os.getenv('WAYSCLOUD_API_KEY')
if not API_KEY:
    raise ValueError("WAYSCLOUD_API_KEY not set")

# Make request
headers = {
    'Authorization': f'Bearer {API_KEY}',
    'Content-Type': 'application/json'
}

response = requests.get(
    'https://api.wayscloud.services/v1/storage/',
    headers=headers
)
"""
PYTHON_SHOWS = """
print(response.status_code)
print(response.text)
"""

JAVASCRIPT = """\
const axios = require('axios');

// Load from environment
const API_KEY = process.env.WAYSCLOUD_API_KEY;
if (!API_KEY) {
  throw new Error('WAYSCLOUD_API_KEY not set');
}

// Make request
const response = await axios.get(
  'https://api.wayscloud.services/v1/storage/',
  {
    headers: {
      'Authorization': `Bearer ${API_KEY}`,
      'Content-Type': 'application/json'
    }
  }
);
"""
JAVASCRIPT_SHOWS = """\
(async () => {
%s
return response;
})().catch((error) => {
  if (!error.response) throw error;
  console.error(error.message);
  return error.response;
}).then(({status, data}) => {
  console.log(status);
  console.log(typeof data === 'string' ? data : JSON.stringify(data));
});
"""

PHP = """\
<?php
$apiKey = getenv('WAYSCLOUD_API_KEY');
if (!$apiKey) {
    throw new Exception('WAYSCLOUD_API_KEY not set');
}

$ch = curl_init('https://api.wayscloud.services/v1/storage/');
curl_setopt($ch, CURLOPT_HTTPHEADER, [
    'Authorization: Bearer ' . $apiKey,
    'Content-Type: application/json'
]);
curl_setopt($ch, CURLOPT_RETURNTRANSFER, true);

$response = curl_exec($ch);
curl_close($ch);
?>
"""
PHP_SHOWS = """\
<?php echo curl_getinfo($ch, CURLINFO_RESPONSE_CODE), "\\n", $response;
"""

GO = """\
package main

import (
    "fmt"
    "net/http"
    "os"
)

func main() {
    apiKey := os.Getenv("WAYSCLOUD_API_KEY")
    if apiKey == "" {
        panic("WAYSCLOUD_API_KEY not set")
    }

    client := &http.Client{}
    req, _ := http.NewRequest("GET",
        "https://api.wayscloud.services/v1/storage/", nil)
    req.Header.Set("Authorization", "Bearer "+apiKey)
    req.Header.Set("Content-Type", "application/json")

    resp, err := client.Do(req)
    if err != nil {
        panic(err)
    }
    defer resp.Body.Close()
}
"""
GO_SHOWS = """\
    body := make([]byte, 65536)
    length, _ := resp.Body.Read(body)
    fmt.Printf("%d\\n%s", resp.StatusCode, body[:length])
}
"""

# A service, and the command line that the document shows for its keys.
CURL = {
    "storage": r"""
curl -X GET "https://api.wayscloud.services/v1/storage/" \
-H "Authorization: Bearer wayscloud_storage_abc123_XyZ789SecretKey"
""",
    "storage, an upload": r"""
curl -X PUT "https://api.wayscloud.services/v1/storage/my-bucket/file.txt" \
-H "Authorization: Bearer wayscloud_storage_abc123_YourSecretKey" \
--data-binary @file.txt
""",
    "llm": r"""
curl -X POST "https://api.wayscloud.services/v1/chat/completions" \
-H "Authorization: Bearer wayscloud_llm_xyz789_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"model": "qwen3-80b-instruct", "messages": [{"role": "user", "content": "Hello"}]}'
""",
    "database": r"""
curl -X POST "https://api.wayscloud.services/v1/databases" \
-H "Authorization: Bearer wayscloud_database_def456_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"db_type": "postgresql", "db_name": "my_app_db"}'
""",
    "dns": r"""
curl -X POST "https://api.wayscloud.services/v1/dns/zones" \
-H "Authorization: Bearer wayscloud_dns_ghi789_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"domain": "example.com", "dnssec_enabled": true}'
""",
    "gpu": r"""
curl -X POST "https://api.wayscloud.services/v1/gpu/jobs" \
-H "Authorization: Bearer wayscloud_gpu_jkl012_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"job_type": "video_generation", "prompt": "Ocean waves at sunset"}'
""",
}
