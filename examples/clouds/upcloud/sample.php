<?php
// Ask UpCloud whose token this is.
declare(strict_types=1);

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

$token = getenv('UPCLOUD_TOKEN') ?: '';
$url = getenv('UPCLOUD_DEBUG_API_BASE_URL') ?: 'https://api.upcloud.com';
if (!preg_match('/^[!-~]+\z/', $token)) {
    fail('UPCLOUD_TOKEN is not set, or is no token');
}

$curl = curl_init("$url/1.3/account");
curl_setopt_array($curl, [
    CURLOPT_HTTPHEADER => ["Authorization: Bearer $token"],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_PROTOCOLS => CURLPROTO_HTTPS, // nothing goes out without TLS
    CURLOPT_SSLVERSION => CURL_SSLVERSION_TLSv1_2, // 1.2 or later
    CURLOPT_FOLLOWLOCATION => false, // the token goes nowhere else
    CURLOPT_TIMEOUT => 30,
]);
$body = curl_exec($curl);
if ($body === false) {
    fail('UpCloud can\'t be reached: ' . curl_error($curl));
}
$status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
if ($status !== 200) {
    fail("UpCloud refused: $status $body");
}
echo json_decode($body, flags: JSON_THROW_ON_ERROR)->account->username, "\n";
