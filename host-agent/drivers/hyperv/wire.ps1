# The wire of agent.ps1: JSON by .NET's own reader and writer, which are the same in .NET Framework and .NET.

$null = [System.Reflection.Assembly]::Load('System.Runtime.Serialization, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089')
$script:Mark = 'berth1 '
$script:Utf8 = [System.Text.UTF8Encoding]::new($false, $true)

# A refusal with one of the agent's stable codes (core/contracts/agent/report.ts), or `bad_request`.
function New-Refusal([string]$Code, [string]$Detail) {
    $refusal = [System.InvalidOperationException]::new($Detail)
    $refusal.Data['berth'] = $Code
    $refusal
}

function Read-Request([string]$Line) {
    if (-not $Line.StartsWith($script:Mark, [System.StringComparison]::Ordinal)) {
        throw (New-Refusal 'bad_request' 'a line without the mark')
    }
    $bytes = [Convert]::FromBase64String($Line.Substring($script:Mark.Length))
    $quotas = [System.Xml.XmlDictionaryReaderQuotas]::Max
    $reader = [System.Runtime.Serialization.Json.JsonReaderWriterFactory]::CreateJsonReader($bytes, $quotas)
    $document = [System.Xml.XmlDocument]::new()
    $document.XmlResolver = $null
    # Without this a string of blanks would read as an empty one.
    $document.PreserveWhitespace = $true
    $document.Load($reader)
    $request = ConvertFrom-JsonNode $document.DocumentElement
    Assert-Request $request
    $request
}

function ConvertFrom-JsonNode([System.Xml.XmlElement]$Node) {
    switch ($Node.GetAttribute('type')) {
        'object' {
            $map = [System.Collections.Hashtable]::new([System.StringComparer]::Ordinal)
            foreach ($child in $Node.ChildNodes) {
                # The reader keeps a key that is no XML name in an attribute.
                $key = if ($child.HasAttribute('item')) { $child.GetAttribute('item') } else { $child.LocalName }
                $map[$key] = ConvertFrom-JsonNode $child
            }
            return $map
        }
        'array' {
            $items = [System.Collections.ArrayList]::new()
            foreach ($child in $Node.ChildNodes) { $null = $items.Add((ConvertFrom-JsonNode $child)) }
            return , $items.ToArray()
        }
        'number' { return [decimal]::Parse($Node.InnerText, [System.Globalization.NumberStyles]::Float, [System.Globalization.CultureInfo]::InvariantCulture) }
        'boolean' { return $Node.InnerText -ceq 'true' }
        'null' { return $null }
        default { return $Node.InnerText }
    }
}

function Write-Answer([System.IO.Stream]$Stream, $Answer) {
    $json = [System.IO.MemoryStream]::new()
    $writer = [System.Runtime.Serialization.Json.JsonReaderWriterFactory]::CreateJsonWriter($json, $script:Utf8, $false)
    Write-JsonValue $writer 'root' $Answer
    $writer.Flush()
    $line = $script:Mark + [Convert]::ToBase64String($json.GetBuffer(), 0, [int]$json.Length) + "`n"
    $bytes = [System.Text.Encoding]::ASCII.GetBytes($line)
    $Stream.Write($bytes, 0, $bytes.Length)
    $Stream.Flush()
}

function Write-JsonValue($Writer, [string]$Name, $Value) {
    $Writer.WriteStartElement($Name)
    if ($null -eq $Value) { $Writer.WriteAttributeString('type', 'null') }
    elseif ($Value -is [string]) { $Writer.WriteString($Value) }
    elseif ($Value -is [bool]) {
        $Writer.WriteAttributeString('type', 'boolean')
        $Writer.WriteString($(if ($Value) { 'true' } else { 'false' }))
    }
    elseif ($Value -is [System.Collections.IDictionary]) {
        $Writer.WriteAttributeString('type', 'object')
        foreach ($entry in $Value.GetEnumerator()) {
            # Most of a list is text, and a call less for each makes it markedly faster.
            if ($entry.Value -is [string]) { $Writer.WriteElementString($entry.Key, $entry.Value) }
            else { Write-JsonValue $Writer $entry.Key $entry.Value }
        }
    }
    elseif ($Value -is [System.Collections.IEnumerable]) {
        $Writer.WriteAttributeString('type', 'array')
        foreach ($item in $Value) { Write-JsonValue $Writer 'item' $item }
    }
    else {
        # Numbers. Counters are 64 bits wide and travel as strings, made by who answers.
        $Writer.WriteAttributeString('type', 'number')
        $Writer.WriteString([Convert]::ToString($Value, [System.Globalization.CultureInfo]::InvariantCulture))
    }
    $Writer.WriteEndElement()
}

# Errors are told apart by the first part of their FullyQualifiedErrorId and by HRESULT, never by their (translated)
# text. The whole id goes into the answer, for people.
$script:CodeOfErrorId = @{
    # The account of the agent's service has no rights to Hyper-V: nothing on this host can be seen or done.
    AccessDenied = 'hypervisor_unavailable'
    OutOfMemory  = 'out_of_memory'
}
function ConvertTo-WireError([System.Management.Automation.ErrorRecord]$Record) {
    $id = [string]$Record.FullyQualifiedErrorId
    $code = $null
    for ($cause = $Record.Exception; $null -ne $cause -and $null -eq $code; $cause = $cause.InnerException) {
        if ($cause.Data.Contains('berth')) { $code = $cause.Data['berth']; $id = $null }
        # ERROR_DISK_FULL and ERROR_HANDLE_DISK_FULL, as HRESULTs.
        elseif ($cause.HResult -eq -2147024784 -or $cause.HResult -eq -2147024857) { $code = 'out_of_disk' }
        # E_OUTOFMEMORY.
        elseif ($cause.HResult -eq -2147024882) { $code = 'out_of_memory' }
        elseif ($cause -is [System.Management.Automation.CommandNotFoundException]) { $code = 'hypervisor_unavailable' }
    }
    if ($null -eq $code -and $null -ne $id) { $code = $script:CodeOfErrorId[$id.Split(',')[0]] }
    if ($null -eq $code) { $code = 'driver_failed' }
    @{ code = $code; detail = Limit-Text $Record.Exception.Message 700; errorId = if ($id) { Limit-Text $id 200 } }
}

# Printable ASCII, cut: what a guest or a translated message says is shown to people and is never more than that.
function Limit-Text([string]$Text, [int]$Length) {
    $clean = [regex]::Replace($Text, '[^\x20-\x7E]+', ' ')
    if ($clean.Length -le $Length) { $clean } else { $clean.Substring(0, $Length) }
}
