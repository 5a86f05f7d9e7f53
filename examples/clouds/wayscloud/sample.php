<?php
// List WAYSCloud's buckets.
declare(strict_types=1);

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

$key = getenv('WAYSCLOUD_API_KEY') ?: '';
$url = getenv('WAYSCLOUD_API_URL') ?: 'https://api.wayscloud.services';
if (!preg_match('/^[!-~]+\z/', $key)) {
    fail('WAYSCLOUD_API_KEY is not set, or is no key');
}

$curl = curl_init("$url/v1/storage/");
curl_setopt_array($curl, [
    CURLOPT_HTTPHEADER => ["Authorization: Bearer $key"],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_PROTOCOLS => CURLPROTO_HTTPS, // nothing goes out without TLS
    CURLOPT_SSLVERSION => CURL_SSLVERSION_TLSv1_2, // 1.2 or later
    CURLOPT_FOLLOWLOCATION => false, // the key goes nowhere else
    CURLOPT_TIMEOUT => 30,
]);
$body = curl_exec($curl);
if ($body === false) {
    fail('WAYSCloud can\'t be reached: ' . curl_error($curl));
}
$status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
if ($status !== 200) {
    fail("WAYSCloud refused: $status $body");
}
echo $body, "\n";
